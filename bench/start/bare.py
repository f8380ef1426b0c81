"""The bare script: import, load, generate; nothing of ours.

`python bare.py BASE ADAPTER|- DTYPE PROMPT END LONGEST` prints the reply on one line, decoded greedily.
"""

import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

base, adapter, dtype, prompt, end, longest = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(base)
model = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, dtype))
if adapter != "-":
    from peft import PeftModel

    model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
model.eval()
given = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
with torch.inference_mode():
    said = model.generate(
        **given,
        do_sample=False,
        max_new_tokens=int(longest),
        eos_token_id=tokenizer.convert_tokens_to_ids(end),
        pad_token_id=tokenizer.eos_token_id,
    )
reply = tokenizer.decode(said[0, given["input_ids"].shape[1] :], skip_special_tokens=True)
print(" ".join(reply.split()), flush=True)
