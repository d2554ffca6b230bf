using System.Globalization;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Tests.Diagnosis;

/// <summary>A run that is made to show something; see Fixtures/diagnosis/README.md.</summary>
/// <param name="Expected">What it is made to show.</param>
/// <param name="Tolerated">What it may show beside that.</param>
internal sealed record PlannedRun(string Name, int Seed, string[] Expected, string[] Tolerated)
{
    private const int ValidationRows = 300;

    /// <summary>Training rows of the classifier; null: a language model is trained, on all that there are.</summary>
    public int? Rows { get; init; }

    /// <summary>Share of the rows that are positive; null: as it comes.</summary>
    public double? Positive { get; init; }

    public string Training { get; init; } = "{}";

    public bool IsAdapter { get; init; }

    /// <summary>A regression in which the square of one label is larger than any fp32 number.</summary>
    public bool IsPoisoned { get; init; }

    /// <summary>Rows that are there again with the other label, beside three times as many that are there again as they are.</summary>
    public int Contradictions { get; init; }

    /// <summary>Rows at a time once memory has run out.</summary>
    public int? MicroBatchSize { get; init; }

    private static readonly string Samples = Path.Combine(AppContext.BaseDirectory, "samples");

    public static IReadOnlyList<PlannedRun> All { get; } =
    [
        .. Of("healthy", 5, 2000, """{"num_train_epochs": 3, "learning_rate": 3e-4, "warmup_steps": 0.1}"""),
        .. Of("healthy2", 4, 3000, """{"num_train_epochs": 2, "learning_rate": 5e-4, "warmup_steps": 0.1}"""),
        .. Of("healthylow", 3, 3000, """{"num_train_epochs": 2, "learning_rate": 1e-4, "warmup_steps": 0.1}""", ["underfitting"]),
        .. Of("overfit", 4, 300, """{"num_train_epochs": 15, "learning_rate": 1e-3}""", ["overfitting"]),
        .. Of("overfit2", 3, 800, """{"num_train_epochs": 10, "learning_rate": 1e-3, "lr_scheduler_type": "linear", "warmup_steps": 0.1}""", ["overfitting"]),
        .. Of("high", 4, 1500, """{"num_train_epochs": 3, "learning_rate": 3e-2}""", ["learning_rate_too_high"]),
        .. Of("high2", 3, 1500, """{"num_train_epochs": 3, "learning_rate": 1e-2, "lr_scheduler_type": "constant"}""", ["learning_rate_too_high"]),
        .. Of("low", 3, 1500, """{"num_train_epochs": 3, "learning_rate": 1e-6}""", ["learning_rate_too_low"], ["stop_now"]),
        .. Of("low2", 3, 1500, """{"num_train_epochs": 2, "learning_rate": 1e-7}""", ["learning_rate_too_low"]),
        .. Of("under", 5, 1500, """{"num_train_epochs": 1, "learning_rate": 1e-4}""", ["underfitting"]),
        .. Of("dominated", 5, 1200, """{"num_train_epochs": 3, "learning_rate": 1e-4}""", ["dead_classes"], ["underfitting"], positive: 0.04),
        .. Of("small", 3, 60, """{"num_train_epochs": 5, "learning_rate": 3e-4}""", ["data_too_small"], ["underfitting", "overfitting", "dead_classes", "dominated_classes"]),
        .. Of("cut", 3, 2000, """{"num_train_epochs": 3, "learning_rate": 3e-4, "warmup_steps": 0.1, "max_length": 12}""", ["truncation"], ["underfitting", "overfitting"]),
        .. Of("nan", 3, 1500, """{"num_train_epochs": 1, "learning_rate": 3e-4}""", ["divergence"], ["learning_rate_too_high", "underfitting"]).Select(run => run with { IsPoisoned = true }),
        .. Of("noisy", 3, 1500, """{"num_train_epochs": 2, "learning_rate": 3e-4, "warmup_steps": 0.1}""", ["label_noise"], ["underfitting", "overfitting"]).Select(run => run with { Contradictions = 60 }),
        .. Of("tight", 3, 2000, """{"num_train_epochs": 3, "learning_rate": 3e-4, "warmup_steps": 0.1}""", ["memory_pressure"], microBatch: 4),
        .. Of("lm", 2, null, """{"num_train_epochs": 3, "learning_rate": 2e-3, "max_length": 128, "logging_steps": 2}""", isAdapter: true),
        .. Of("lmhigh", 2, null, """{"num_train_epochs": 2, "learning_rate": 0.1, "max_length": 128, "logging_steps": 2}""", ["learning_rate_too_high"]),
        .. Of("lmover", 2, null, """{"num_train_epochs": 10, "learning_rate": 2e-3, "max_length": 128, "logging_steps": 2}""", ["overfitting"]),
    ];

    private static IEnumerable<PlannedRun> Of(string name, int count, int? rows, string training, string[]? expected = null, string[]? tolerated = null, double? positive = null, int? microBatch = null, bool isAdapter = false) =>
        Enumerable.Range(1, count).Select(seed => new PlannedRun($"{name}-{seed}", seed, expected ?? [], ["stop_now", .. tolerated ?? []]) { Rows = rows, Positive = positive, Training = training, IsAdapter = isAdapter, MicroBatchSize = microBatch });

    /// <summary>Makes the run's folder: data, job.json, and what an earlier process has left.</summary>
    public RunFolder Make()
    {
        var folder = new RunFolder(Directory.CreateTempSubdirectory($"diagnosis-{Name}-").FullName);
        var training = new JsonObject { ["per_device_train_batch_size"] = 16, ["max_length"] = 48, ["logging_steps"] = 5, ["save_total_limit"] = 1, ["seed"] = Seed };
        foreach (var (name, value) in JsonNode.Parse(Training)!.AsObject())
            training[name] = value?.DeepClone();
        var spec = new JsonObject
        {
            ["base_model"] = Path.Combine(Samples, "models", Rows is null ? "tiny-llama-en" : "tiny-bert-en"),
            ["task"] = Rows is null ? "causal-lm" : IsPoisoned ? new JsonObject { ["type"] = "text-classification", ["problem_type"] = "regression" } : "text-classification",
            ["dataset"] = Rows is null ? new JsonObject { ["train"] = Path.Combine(Samples, "shakespeare", "train.jsonl"), ["validation_split"] = 0.1 } : Draw(folder),
            ["training"] = training,
        };
        if (IsAdapter)
            spec["method"] = JsonNode.Parse("""{"type": "lora", "r": 16, "lora_alpha": 32, "target_modules": "all-linear"}""");
        File.WriteAllText(folder.Job, spec.ToJsonString());
        if (MicroBatchSize is { } size)
            RunAdaptation.Change(folder, adaptation => adaptation with { MicroBatchSize = size });
        return folder;
    }

    private JsonObject Draw(RunFolder folder)
    {
        var random = new Random(Seed);
        var header = File.ReadLines(Path.Combine(Samples, "sst2", "train.tsv")).First();
        var all = File.ReadLines(Path.Combine(Samples, "sst2", "train.tsv")).Skip(1).OrderBy(_ => random.Next()).ToList();
        var (positive, negative) = (all.Where(IsPositive), all.Where(row => !IsPositive(row)));
        string[] rows = Positive is { } share ? [.. positive.Take((int)(share * Rows!.Value)), .. negative.Take(Rows!.Value - (int)(share * Rows.Value))] : [.. all.Take(Rows!.Value)];
        var held = File.ReadLines(Path.Combine(Samples, "sst2", "dev.tsv")).Skip(1).OrderBy(_ => random.Next()).ToList();
        if (Positive is { } alike)
            held = [.. held.Where(IsPositive).Take((int)(alike * ValidationRows)), .. held.Where(row => !IsPositive(row))];
        if (IsPoisoned)
            rows[rows.Length / 2] = rows[rows.Length / 2][..^1] + "3e38";
        rows = [.. rows, .. rows.Take(Contradictions).Select(row => row[..^1] + (IsPositive(row) ? '0' : '1')), .. rows.Skip(Contradictions).Take(3 * Contradictions)];
        File.WriteAllLines(Path.Combine(folder.Path, "train.tsv"), [header, .. rows]);
        File.WriteAllLines(Path.Combine(folder.Path, "validation.tsv"), [header, .. held.Take(ValidationRows)]);
        return new() { ["train"] = "train.tsv", ["validation"] = "validation.tsv" };

        static bool IsPositive(string row) => row.EndsWith("\t1", StringComparison.Ordinal);
    }

    /// <summary>What there is to keep of a run that has ended.</summary>
    public RecordedRun Record(IReadOnlyList<TrainingEvent> events, RunFolder folder)
    {
        var spec = JsonNode.Parse(File.ReadAllText(folder.Job))!;
        var started = events.OfType<RunStarted>().Last();
        var scores = events.OfType<Evaluated>().LastOrDefault(evaluated => evaluated.Split == "validation");
        var log = events.Where(happened => happened is StepLogged or Evaluated { Split: "validation" }).Select(Row).ToArray();
        return new(new()
        {
            ["name"] = Name,
            ["expected"] = Strings(Expected),
            ["tolerated"] = Strings(Tolerated),
            ["training"] = spec["training"]!.DeepClone(),
            ["task"] = spec["task"] is JsonValue task ? (string)task! : "regression",
            ["total_steps"] = started.TotalSteps,
            ["train_rows"] = started.TrainRows,
            ["validation_rows"] = started.ValidationRows,
            ["truncated"] = new JsonArray(started.TruncatedRows, started.TruncatedTokens),
            ["train_tokens"] = (long)events.OfType<StepLogged>().Select(logged => logged.Metrics["num_input_tokens_seen"] / Math.Max(0.01, logged.Epoch)).LastOrDefault(1),
            ["repeated"] = new JsonArray(started.RepeatedRows, started.ContradictedRows),
            ["adaptation"] = MicroBatchSize is { } size ? new JsonObject { ["micro_batch_size"] = size } : null,
            ["confusion_matrix"] = scores?.ConfusionMatrix is { } matrix ? new JsonArray([.. matrix.Select(row => (JsonNode)new JsonArray([.. row.Select(count => (JsonNode)count)]))]) : null,
            ["labels"] = scores?.Labels is { } labels ? Strings(labels) : null,
            ["log"] = new JsonArray(log),
        });

        static JsonArray Strings(IEnumerable<string> values) => [.. values.Select(value => (JsonNode)value)];

        static JsonNode Row(TrainingEvent happened)
        {
            var row = new JsonObject { ["step"] = happened.Step };
            var metrics = happened is StepLogged logged ? logged.Metrics : ((Evaluated)happened).Metrics;
            foreach (var name in new[] { "loss", "grad_norm", "learning_rate", "eval_loss" })
                if (metrics.TryGetValue(name, out var value))
                    row[name] = double.Parse(value.ToString(name == "eval_loss" ? "G5" : "G4", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
            return row;
        }
    }
}
