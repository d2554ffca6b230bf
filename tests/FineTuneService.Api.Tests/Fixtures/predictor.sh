#!/usr/bin/env bash
# Speaks the protocol of `finetune predict CHECKPOINT --stdin` (Contracts/Prediction.cs) without a model.
# What a text says, it does: "crash once", "crash", "refuse", "nonsense". Each start leaves its process id and environment in the checkpoint.
set -u
checkpoint=$2
echo "$$" >>"$checkpoint/starts"
env >"$checkpoint/environment"
echo '{"ready":true}'
while IFS= read -r line; do
    case $line in
        *'crash once'*) [[ -e $checkpoint/crashed ]] || { touch "$checkpoint/crashed"; exit 1; } ;;
        *crash*) echo 'these are my last words' >&2; exit 1 ;;
        *refuse*) echo '{"faults":[{"pointer":"/inputs/0/text","value":"refuse","message":"No.","remedy":"Ask otherwise."}]}'; continue ;;
        *nonsense*) echo 'Segmentation fault'; continue ;;
    esac
    texts=$(grep -o '"text":' <<<"$line" | wc -l)
    predictions=$(for ((i = 0; i < texts; i++)); do printf ',{"label":"1","probabilities":{"0":0.25,"1":0.75},"truncated_tokens":0}'; done)
    echo "{\"predictions\":[${predictions:1}]}"
done
