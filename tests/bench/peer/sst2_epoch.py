"""One epoch of a text classification by Hugging Face's Trainer with its defaults. Usage: sst2_epoch.py FOLDER, which holds job.json, train.tsv and model/."""
import csv
import json
import sys

import transformers

folder = sys.argv[1]
with open(f"{folder}/job.json") as file:
    job = json.load(file)
tokenizer = transformers.AutoTokenizer.from_pretrained(f"{folder}/model")
if job["init"] == "config":
    model = transformers.AutoModelForSequenceClassification.from_config(transformers.AutoConfig.from_pretrained(f"{folder}/model", num_labels=2))
else:
    model = transformers.AutoModelForSequenceClassification.from_pretrained(f"{folder}/model", num_labels=2)
with open(f"{folder}/train.tsv", encoding="utf-8") as file:
    rows = list(csv.DictReader(file, delimiter="\t"))
encodings = tokenizer([row["text"] for row in rows], truncation=True, max_length=job["max_length"])
data = [{**{name: encodings[name][at] for name in encodings}, "labels": int(row["label"])} for at, row in enumerate(rows)]
trainer = transformers.Trainer(
    model=model,
    args=transformers.TrainingArguments(
        output_dir=f"{folder}/out", num_train_epochs=1, per_device_train_batch_size=job["batch"], learning_rate=job["learning_rate"], report_to="none", disable_tqdm=True),
    train_dataset=data,
    data_collator=transformers.DataCollatorWithPadding(tokenizer),
)
result = trainer.train()
print(json.dumps({"loss": result.training_loss, "steps": result.global_step, "train_seconds": result.metrics["train_runtime"]}))
