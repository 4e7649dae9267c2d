"""Clips filmed from still pictures, for a tokenizer of real clips where there are photographs and no videos.

`picture` reads the photographs (`python -m pre_tokenize.photographs` brings some), `textures` makes pictures by rule,
`camera` says where in a picture each pixel of a clip looks, `scene` lays things before it, `clips` numbers the clips.
"""
