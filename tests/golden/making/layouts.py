"""The names of a LoRA's tensors in the files of several tools, for `lora.py`."""

import torch


def kohya(state, alphas=True):
    """The layout of kohya's `networks/lora.py`: underscores, lora_down, lora_up and alpha."""
    prefixes = {"unet": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}
    file = {}
    for part, tensors in state.items():
        for key, value in tensors.items():
            module, kind, _ = key.rsplit(".", 2)
            name = f"{prefixes[part]}_{module.replace('.', '_')}"
            file[f"{name}.lora_{'down' if kind == 'lora_A' else 'up'}.weight"] = value
            if kind == "lora_A" and alphas:
                file[f"{name}.alpha"] = torch.tensor(1.5)
    return file


def sgm(file):
    """The names of SDXL's files: blocks counted through in steps of three, two blocks here."""
    places = {"conv_in": "input_blocks_0_0", "mid_block_attentions_0": "middle_block_1"}
    for block in range(2):
        for layer in range(3):
            places[f"down_blocks_{block}_resnets_{layer}"] = f"input_blocks_{3 * block + layer + 1}_0"
            places[f"down_blocks_{block}_attentions_{layer}"] = f"input_blocks_{3 * block + layer + 1}_1"
            places[f"up_blocks_{block}_attentions_{layer}"] = f"output_blocks_{3 * block + layer}_1"
    places["down_blocks_0_downsamplers_0_conv"] = "input_blocks_3_0_op"
    places["up_blocks_0_upsamplers_0_conv"] = "output_blocks_2_2_conv"
    inside = {"conv1": "in_layers_2", "time_emb_proj": "emb_layers_1", "conv_shortcut": "skip_connection"}
    renamed = {}
    for key, value in file.items():
        for ours, theirs in list(places.items()) + list(inside.items()):
            key = key.replace(ours, theirs) if key.startswith("lora_unet") else key
        renamed[key] = value
    return renamed


def processors(file):
    """The first layout of diffusers, before version 0.20: attention processors."""
    renamed = {}
    for key, value in file.items():
        for attention in ["attn1.", "attn2."]:
            key = key.replace(attention, attention + "processor.") if "to_" in key else key
        key = key.replace("to_out.0.lora_", "to_out_lora_").replace(".lora_A.", "_lora.down.")
        key = key.replace(".lora_B.", "_lora.up.").replace("to_out_lora_A", "to_out_lora.down")
        key = key.replace("to_out_lora_B", "to_out_lora.up").replace("q_proj_lora", "to_q_lora")
        renamed[key.replace("out_proj_lora", "to_out_lora")] = value
    return renamed
