using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Optimization;

namespace FineTuneService.Training;

/// <summary>Reads a job specification, understands its shorthands and old names, and tells everything that is wrong with it at once.</summary>
public static class JobSpecReader
{
    /// <summary>Names that transformers has moved (its migration guide to version 5).</summary>
    private static readonly Dictionary<string, string> Renamed = new()
    {
        ["/training/evaluation_strategy"] = "eval_strategy",
        ["/training/warmup_ratio"] = "warmup_steps",
        ["/training/per_gpu_train_batch_size"] = "per_device_train_batch_size",
        ["/training/per_gpu_eval_batch_size"] = "per_device_eval_batch_size",
        ["/training/group_by_length"] = "train_sampling_strategy",
    };

    /// <summary>Switches that have become a choice among several: what their true and false are now.</summary>
    private static readonly Dictionary<string, (string True, string False)> Switches = new()
    {
        ["/training/group_by_length"] = ("group_by_length", "random"),
    };

    private static readonly Dictionary<string, (string Message, string Remedy)> Refused = new[]
    {
        "auto_find_batch_size", "average_tokens_across_devices", "bf16_full_eval", "data_collator", "dataloader_num_workers", "dataloader_pin_memory",
        "ddp_find_unused_parameters", "deepspeed", "do_eval", "do_predict", "do_train", "eval_accumulation_steps", "eval_delay", "fp16_full_eval", "fsdp", "full_determinism",
        "gradient_checkpointing_kwargs", "hub_model_id", "hub_token", "label_names", "logging_dir", "logging_nan_inf_filter",
        "logging_strategy", "no_cuda", "output_dir", "parallelism_config", "push_to_hub", "remove_unused_columns",
        "restore_callback_states_from_checkpoint", "resume_from_checkpoint", "run_name", "save_on_each_node", "save_only_model", "save_safetensors",
        "torch_compile", "use_cpu", "use_liger_kernel",
    }.ToDictionary(name => $"/training/{name}", _ => ("transformers' Trainer has this argument; this service does not support it.", "Leave it out."));

    static JobSpecReader()
    {
        Refused["/training/bf16"] = ("Mixed precision has one argument for its types.", "Set mixed_precision to bf16.");
        Refused["/training/fp16"] = ("Mixed precision has one argument for its types.", "Set mixed_precision to fp16.");
        Refused["/training/adafactor"] = ("The optimizer has one argument for its names.", "Set optim to adafactor.");
        Refused["/training/lr_scheduler_kwargs/mode"] = ("Whether the metric should fall or rise is said once.", "Set greater_is_better.");
    }

    /// <exception cref="FaultException">With every fault of the document.</exception>
    public static async Task<JobSpec> ReadAsync(Stream utf8, CancellationToken cancel = default) => Read(await JsonContract.ParseAsync(utf8, cancel));

    /// <inheritdoc cref="ReadAsync"/>
    public static JobSpec Read(ReadOnlyMemory<byte> utf8) => Read(JsonContract.Parse(utf8));

    /// <inheritdoc cref="ReadAsync"/>
    public static JobSpec Read(JsonElement json)
    {
        var faults = new FaultList();
        var spec = Read(json, faults);
        faults.ThrowIfAny();
        return spec!;
    }

    /// <summary>Collects the faults and returns what is sound, defaults standing in for the rest; null when a required field is not.</summary>
    public static JobSpec? Read(JsonElement json, FaultList faults)
    {
        var contract = new JsonContract(Catalog.Json, faults) { Renamed = Renamed, Switches = Switches, Refused = Refused };
        var sound = contract.Read<JobSpec>(json);

        // What is sound is judged even where the rest is not, so that one answer tells all; a rule about a faulty field finds its default.
        var training = sound?["training"].Deserialize<TrainingArguments>(Catalog.Json) ?? new();
        var hasValidation = sound?["dataset"]?["validation"] is not null || sound?["dataset"]?["validation_split"]?.GetValue<double>() is not 0.0;
        var given = sound?["training"] as JsonObject;
        new Rules(faults, contract).Check(training, given?["lr_scheduler_kwargs"] as JsonObject, hasValidation, name => given?.ContainsKey(name) == true);
        if (sound?["metadata"].Deserialize<Dictionary<string, string>>() is { } metadata)
            CheckMetadata(metadata, faults);
        var isWhole = sound?["base_model"] is not null && sound["task"] is not null && sound["dataset"]?["train"] is not null;
        return isWhole ? sound.Deserialize<JobSpec>(Catalog.Json) : null;
    }

    private static void CheckMetadata(Dictionary<string, string> metadata, FaultList faults)
    {
        foreach (var (key, value) in metadata)
        {
            faults.Require(key.Length is > 0 and <= 64, "/metadata", key, "A key's length is out of bounds.", "Use 1 to 64 characters.");
            faults.Require(value.Length <= 512, $"/metadata/{JsonContract.Escape(key)}", value, $"{value.Length} characters are too many.", "Use at most 512 characters.");
        }
    }

    /// <summary>What no field can say alone; the rules of transformers' <c>TrainingArguments.__post_init__</c> and <c>EarlyStoppingCallback</c>.</summary>
    private sealed class Rules(FaultList faults, JsonContract contract)
    {
        public void Check(TrainingArguments training, JsonObject? options, bool hasValidation, Func<string, bool> isGiven)
        {
            if (At("warmup_steps").EndsWith("/warmup_ratio", StringComparison.Ordinal))
                Require(training.WarmupSteps < 1, "warmup_steps", training.WarmupSteps, "A ratio is a share of all steps.", "Give a number from 0 to below 1, or a count as warmup_steps.");
            WholeFromOne(training.WarmupSteps, "warmup_steps");
            WholeFromOne(training.LoggingSteps, "logging_steps");
            WholeFromOne(training.SaveSteps, "save_steps");
            WholeFromOne(training.EvalSteps ?? 1, "eval_steps");

            var evaluates = hasValidation && training.EvalStrategy != IntervalStrategy.No;
            OptimizationRules.Check(training, options, evaluates, faults);
            Require(
                evaluates || training.EarlyStoppingPatience is null, "early_stopping_patience", training.EarlyStoppingPatience,
                "Early stopping needs evaluations.",
                hasValidation ? "Set eval_strategy to epoch or steps." : "Give dataset.validation, or a dataset.validation_split above 0.");
            Require(
                training.LoadBestModelAtEnd || training.EarlyStoppingPatience is null, "early_stopping_patience", training.EarlyStoppingPatience,
                "Early stopping ends with the best model, which load_best_model_at_end switches off.", "Set load_best_model_at_end to true, or leave early_stopping_patience out.");
            Require(
                evaluates || !isGiven("load_best_model_at_end") || !training.LoadBestModelAtEnd, "load_best_model_at_end", true,
                "Without evaluations no model is the best.", "Set it to false, or evaluate: eval_strategy, and validation rows.");
            if (evaluates && training.LoadBestModelAtEnd)
                CheckBest(training);
            foreach (var unknown in training.ReportTo?.Values.Except(["mlflow", "none"]) ?? [])
                Require(false, "report_to", unknown, "This service cannot report there.", "Give mlflow or none.");
        }

        /// <summary>The best model must have been saved when it was evaluated.</summary>
        private void CheckBest(TrainingArguments training)
        {
            const string Escape = "or set load_best_model_at_end to false.";
            if (training.SaveStrategy != training.EvalStrategy)
                Require(
                    false, "save_strategy", training.SaveStrategy.ToString().ToLowerInvariant(),
                    "load_best_model_at_end needs a checkpoint at every evaluation.", $"Make save_strategy equal to eval_strategy, {Escape}");
            else if (training.EvalStrategy == IntervalStrategy.Steps)
            {
                var every = training.EvalSteps ?? training.LoggingSteps;
                Require(
                    every < 1 == training.SaveSteps < 1, "save_steps", training.SaveSteps,
                    "load_best_model_at_end needs save_steps and eval_steps to be both counts or both shares.", $"Write both in the same way, {Escape}");
                Require(
                    every < 1 != training.SaveSteps < 1 || IsMultiple(training.SaveSteps, every), "save_steps", training.SaveSteps,
                    FormattableString.Invariant($"load_best_model_at_end needs save_steps to be a multiple of eval_steps, which is {every}."), $"Choose such a multiple, {Escape}");
            }
        }

        // Shares are compared in millionths, as in transformers: 0.1 × 3 is not 0.3 in binary.
        private static bool IsMultiple(double whole, double part) =>
            part >= 1 ? whole % part == 0 : Math.Round(whole * 1e6) % Math.Max(1, Math.Round(part * 1e6)) == 0;

        private void WholeFromOne(double steps, string name) =>
            Require(steps < 1 || steps == Math.Floor(steps), name, steps, "From 1 on this is a count of steps, and those are whole.", "Give a whole number, or a share below 1.");

        private string At(string name) => contract.Spelled($"/training/{name}");

        private void Require(bool holds, string name, object? value, string message, string remedy) => faults.Require(holds, At(name), value, message, remedy);
    }
}
