using System.Text.Json.Nodes;

namespace FineTuneService.Training.Tests.RandomSpecs;

/// <summary>Methods and training arguments, any that go together.</summary>
internal static class RandomArguments
{
    public static JsonNode Method(Draw draw, bool isDrawn)
    {
        if (isDrawn || draw.Chance(0.45))
        {
            if (draw.Chance(0.6))
                return "full";
            var freeze = new JsonObject { ["layers"] = draw.Between(0, 2), ["embeddings"] = draw.Chance(0.4) };
            if (draw.Chance(0.3))
                freeze["all_but_head"] = true;
            return new JsonObject { ["type"] = "full", ["freeze"] = freeze };
        }
        var lora = new JsonObject { ["type"] = draw.Of("lora", "lora", "qlora"), ["r"] = draw.Between(1, 8), ["lora_alpha"] = draw.Of(4, 16) };
        void Maybe(double chance, string name, Func<JsonNode?> value)
        {
            if (draw.Chance(chance))
                lora[name] = value();
        }

        Maybe(0.25, "lora_dropout", () => 0.1);
        Maybe(0.5, "target_modules", () => draw.Chance(0.8) ? "all-linear" : ".*(q|query|Wqkv|c_attn|q_lin|query_proj|qkv).*");
        Maybe(0.15, "exclude_modules", () => new JsonArray("o_proj", "down_proj", "Wo", "c_proj", "output.dense"));
        Maybe(0.15, "modules_to_save", () => new JsonArray(draw.Of("norm", "lm_head", "score", "embed_tokens", "embeddings", "classifier")));
        Maybe(0.15, "rank_pattern", () => new JsonObject { [draw.Of("v_proj", "value", "layers?.1.*", "c_attn")] = draw.Between(1, 8) });
        Maybe(0.15, "alpha_pattern", () => new JsonObject { [draw.Of("q_proj", "query", "layers?.0.*", "c_attn")] = draw.Of(1, 32) });
        Maybe(0.25, "use_rslora", () => true);
        Maybe(0.3, "use_dora", () => true);
        Maybe(0.25, "bias", () => draw.Of("all", "lora_only"));
        if (!lora.ContainsKey("target_modules"))
            Maybe(0.2, "layers_to_transform", () => new JsonArray(draw.Between(0, 1)));
        if ((string?)lora["type"] == "qlora")
        {
            Maybe(0.5, "bnb_4bit_use_double_quant", () => false);
            Maybe(0.4, "bnb_4bit_compute_dtype", () => "bfloat16");
        }
        return lora;
    }

    public static JsonObject Training(Draw draw, JsonObject task, int rows, JsonObject dataset, string init, int maxLength)
    {
        var type = (string)task["type"]!;
        var (batch, accumulation) = (draw.Between(1, 5), draw.Between(1, 4));
        var training = new JsonObject
        {
            ["per_device_train_batch_size"] = batch,
            ["gradient_accumulation_steps"] = accumulation,
            ["per_device_eval_batch_size"] = draw.Between(1, 6),
            ["max_length"] = Math.Min(maxLength, draw.Between(16, 48)),
            ["learning_rate"] = draw.Of(1e-3, 3e-3),
            ["logging_steps"] = draw.Chance(0.6) ? 1 : draw.Of(2.0, 3.0, 0.3),
            ["seed"] = draw.Between(0, 1000),
        };
        void Maybe(double chance, string name, Func<JsonNode?> value)
        {
            if (draw.Chance(chance))
                training[name] = value();
        }

        if (draw.Chance(0.7))
            training["max_steps"] = draw.Between(3, 8);
        else
            training["num_train_epochs"] = Math.Round(draw.Between(3, 7) / Math.Ceiling(Math.Ceiling((double)rows / batch) / accumulation), 2);
        Maybe(0.4, "optim", () => draw.Of("adamw_torch_fused", "sgd", "adafactor", "adamw_8bit", "paged_adamw_8bit"));
        if ((string?)training["optim"] == "sgd")
            Maybe(0.6, "optim_args", () => draw.Of("momentum=0.9", "momentum=0.9,nesterov=true", "momentum=0.5,dampening=0.1"));
        Maybe(0.3, "weight_decay", () => 0.1);
        Maybe(0.2, "layerwise_lr_decay", () => 0.8);
        Maybe(0.3, "max_grad_norm", () => draw.Of(0.0, 0.1));
        Maybe(0.25, "ema_decay", () => draw.Of(0.5, 0.9));
        Maybe(0.2, "data_seed", () => draw.Between(0, 1000));
        Maybe(0.4, "mixed_precision", () => draw.Of("bf16", "bf16", "fp16"));
        Maybe(0.3, "gradient_checkpointing", () => true);
        Maybe(0.3, "train_sampling_strategy", () => draw.Of("group_by_length", "group_by_length", "sequential"));
        Maybe(0.2, "dataloader_drop_last", () => true);
        Maybe(0.2, "logging_first_step", () => false);
        Maybe(0.3, "warmup_steps", () => draw.Of(1.0, 2.0, 0.3));
        Maybe(0.1, "tf32", () => true);
        if (type != "dpo")
            Maybe(0.2, "neftune_noise_alpha", () => 5);
        if (type is not ("dpo" or "replaced-token-detection") && type != "text-classification")
            Maybe(0.2, "label_smoothing_factor", () => 0.1);
        else if (type == "text-classification" && ((string?)task["problem_type"] == "single_label_classification"))
            Maybe(0.3, "label_smoothing_factor", () => 0.1);
        if (init == "pretrained" && type is "causal-lm" or "sft" or "masked-lm")
        {
            Maybe(0.25, "kl_to_base_weight", () => 0.5);
            Maybe(0.06, "forgetting_check", () => true);
        }
        Schedule(draw, training);
        Intervals(draw, training, dataset, task);
        if (dataset.ContainsKey("earlier") || training.ContainsKey("forgetting_check"))
            Maybe(0.5, "forgetting_weight", () => 0.5);
        return training;
    }

    private static void Schedule(Draw draw, JsonObject training)
    {
        if (draw.Chance(0.4))
            return;
        var (name, options) = draw.Of<(string, string?)>(
            ("cosine", null), ("cosine", """{"num_cycles": 1}"""), ("cosine_with_restarts", """{"num_cycles": 2}"""), ("polynomial", """{"power": 2}"""), ("constant", null), ("constant_with_warmup", null),
            ("inverse_sqrt", null), ("cosine_with_min_lr", """{"min_lr_rate": 0.1}"""), ("cosine_warmup_with_min_lr", """{"min_lr": 0.0001}"""),
            ("warmup_stable_decay", """{"num_decay_steps": 0.5}"""), ("warmup_stable_decay", """{"num_decay_steps": 2, "decay_type": "1-sqrt"}"""),
            ("reduce_lr_on_plateau", """{"patience": 0, "factor": 0.5}"""));
        training["lr_scheduler_type"] = name;
        if (options is not null)
            training["lr_scheduler_kwargs"] = JsonNode.Parse(options);
    }

    private static string[] Metrics(JsonObject task) => (string)task["type"]! switch
    {
        "text-classification" => (string?)task["problem_type"] switch
        {
            "regression" => ["eval_mse", "pearson", "eval_loss"],
            _ => ["loss", "f1_macro", "eval_f1_micro"],
        },
        "token-classification" => ["f1", "eval_accuracy", "precision"],
        "masked-lm" or "causal-lm" or "sft" => ["perplexity", "mean_token_accuracy"],
        "replaced-token-detection" => ["rtd_accuracy", "mlm_loss"],
        _ => ["rewards/accuracies", "eval_rewards/margins"],
    };

    private static void Intervals(Draw draw, JsonObject training, JsonObject dataset, JsonObject task)
    {
        void Every(string name)
        {
            if (draw.Chance(0.8))
                training[name] = draw.Of(1.0, 2.0, 3.0, 0.4);
        }

        var evaluation = draw.Of("no", "steps", "steps", "epoch");
        training["eval_strategy"] = evaluation;
        if (evaluation == "steps")
            Every("eval_steps");
        var evaluates = evaluation != "no" && (dataset.ContainsKey("validation") || (double?)dataset["validation_split"] > 0);
        var best = evaluates && draw.Chance(0.6);
        training["load_best_model_at_end"] = best;
        training["save_strategy"] = best ? evaluation : draw.Of("no", "steps", "epoch");
        if (best && evaluation == "steps")
            training["save_steps"] = (training["eval_steps"]?.GetValue<double>() ?? training["logging_steps"]!.GetValue<double>()) * draw.Of(1, 1, 2);
        else if ((string?)training["save_strategy"] == "steps")
            training["save_steps"] = draw.Of(1.0, 2.0, 3.0, 0.4);
        if (draw.Chance(0.5))
            training["save_total_limit"] = draw.Between(1, 3);
        if (draw.Chance(0.3))
            training["eval_on_start"] = true;
        if (evaluates && draw.Chance(0.3))
        {
            training["metric_for_best_model"] = draw.Of(Metrics(task));
            if (draw.Chance(0.2))
                training["greater_is_better"] = draw.Chance(0.5);
        }
        if (best && draw.Chance(0.4))
        {
            training["early_stopping_patience"] = draw.Between(1, 2);
            training["early_stopping_threshold"] = draw.Of(0.0, 0.05);
        }
    }
}
