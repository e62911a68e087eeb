"""Run as a process: loads adapters from the Hub with PEFT, as the model card says, and writes what each computes.

Usage: python load_with_peft.py BASE REPO OUTPUT [BASE REPO OUTPUT ...]
"""

import sys

import torch
from peft import PeftModel
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

for place in range(1, len(sys.argv), 3):
    base_id, repo_id, output = sys.argv[place : place + 3]
    base = AutoModelForCausalLM.from_pretrained(base_id)
    model = PeftModel.from_pretrained(base, repo_id)
    tensors = {name: tensor.contiguous() for name, tensor in get_peft_model_state_dict(model).items()}
    with torch.no_grad():
        logits = model(torch.tensor([[1, 5, 9, 13]])).logits
        with model.disable_adapter():
            plain = model(torch.tensor([[1, 5, 9, 13]])).logits
    save_file({**tensors, "logits": logits, "plain": plain}, output)
