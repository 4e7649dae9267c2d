"""The words of diffusers, with diffusers' meaning, for the pipelines of both models.

call.py       what a call takes: outputs a prompt, output_type, return_dict, callback_on_step_end
output.py     what it gives back: frames, images, save
pipeline.py   what a pipeline can be told: to, enable_model_cpu_offload, load_lora_weights, save_pretrained
script.py     a prompt that changes while the clip is made; the one word here that is not diffusers'
words.py      the words that have no meaning here, and what to type in their place
"""
