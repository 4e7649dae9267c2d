"""The released training of Lumina-Video at 256 px, 8 frames a second, 32 frames, as --task_config takes it.

It is read and never run (lumos/lumina_video/README.md, section 6); configs/train/lumina_f8F32R256.yaml says the same.
"""

tasks = {
    "images": {
        "media_type": "image", "data": "configs/data/lumina_image.yaml", "global_bsz": 256, "micro_bsz": 8,
        "image_size": 256, "snr_type": "uniform", "time_shift": 1, "task_ratio": 4, "patch_size": 2, "f_patch_size": 1,
        "num_workers": 2,
    },
    "videos_fine": {
        "media_type": "video", "data": "configs/data/lumina_video.yaml", "global_bsz": 256, "micro_bsz": 8,
        "image_size": 256, "max_frames": 32, "target_fps": 8, "snr_type": "uniform", "time_shift": 2, "task_ratio": 4,
        "patch_size": 2, "f_patch_size": 1, "num_workers": 2,
    },
    "videos": {
        "media_type": "video", "data": "configs/data/lumina_video.yaml", "global_bsz": 256, "micro_bsz": 8,
        "image_size": 256, "max_frames": 32, "target_fps": 8, "snr_type": "uniform", "time_shift": 4, "task_ratio": 4,
        "patch_size": 2, "f_patch_size": 2, "num_workers": 2,
    },
    "videos_coarse": {
        "media_type": "video", "data": "configs/data/lumina_video.yaml", "global_bsz": 256, "micro_bsz": 8,
        "image_size": 256, "max_frames": 32, "target_fps": 8, "snr_type": "uniform", "time_shift": 8, "task_ratio": 4,
        "patch_size": 4, "f_patch_size": 2, "num_workers": 2,
    },
}  # fmt: skip
