#!/usr/bin/env bash
# Stands in for the `finetune` command. Speaks the protocol of `finetune predict|generate CHECKPOINT --stdin` (Contracts/Prediction.cs, Generation.cs) without a model; where there is one, the real command takes over.
# What a text says, it does: "crash once", "crash", "refuse", "nonsense", "slowly", "endless", "die midway", "call as Hermes", "call as Llama". Each start leaves its process id and environment in the checkpoint.
set -u
verb=$1
checkpoint=$2
echo "$$" >>"$checkpoint/starts"
env >"$checkpoint/environment"
output=${0%/Fixtures/*}
[[ $verb == merge && -e $checkpoint/breaks-off ]] && { echo 'these are my last words' >&2; exit 137; }
[[ -e $checkpoint/model.safetensors || -e $checkpoint/adapter_model.safetensors ]] && exec "$output/../../FineTuneService.Cli/${output##*/}/finetune" "$@"
[[ -e $checkpoint/loads-slowly ]] && sleep 2

piece() { echo "{\"piece\":{\"prompt\":0,\"text\":\"$1\"}}"; }

generate() {
    local last=end
    case $1 in
        *slowly*) for ((i = 0; i < 20; i++)); do piece 'step '; sleep 0.01; done ;;
        *endless*) while true; do piece 'on and '; sleep 0.01; done ;;
        *'call as Hermes'*) piece 'I look.\n<tool'; piece '_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Bonn\"}}\n</tool_call>\n<tool_call>{\"name\": \"weather\"'; last=', \"arguments\": {}}</tool_call>' ;;
        *'call as Llama'*) piece '{\"name\": \"weather\", '; last='\"parameters\": {\"city\": \"Bonn\"}}' ;;
        *'die midway'*) piece 'half '; echo 'these are my last words' >&2; exit 1 ;;
    esac
    echo "{\"piece\":{\"prompt\":0,\"text\":\"$last\",\"finish_reason\":\"stop\",\"prompt_tokens\":1,\"completion_tokens\":1}}"
    echo '{"done":true}'
}

echo '{"ready":true}'
while IFS= read -r line; do
    case $line in
        *'crash once'*) [[ -e $checkpoint/crashed ]] || { touch "$checkpoint/crashed"; exit 1; } ;;
        *crash*) echo 'these are my last words' >&2; exit 1 ;;
        *refuse*) echo '{"faults":[{"pointer":"/inputs/0/text","value":"refuse","message":"No.","remedy":"Ask otherwise."}]}'; continue ;;
        *nonsense*) echo 'Segmentation fault'; continue ;;
    esac
    if [[ $verb == generate ]]; then
        generate "$line"
        continue
    fi
    texts=$(grep -o '"text":' <<<"$line" | wc -l)
    predictions=$(for ((i = 0; i < texts; i++)); do printf ',{"label":"1","probabilities":{"0":0.25,"1":0.75},"truncated_tokens":0}'; done)
    echo "{\"predictions\":[${predictions:1}]}"
done
