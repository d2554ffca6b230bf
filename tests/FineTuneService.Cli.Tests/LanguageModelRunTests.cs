using System.Text.Json;
using FineTuneService.Contracts;

namespace FineTuneService.Cli.Tests;

/// <summary>The tasks of language models, from job.json to the checkpoint, with a Llama of random weights.</summary>
public sealed class LanguageModelRunTests
{
    private const int Steps = 16;

    private static readonly TrainingArguments Short = new()
    {
        PerDeviceTrainBatchSize = 4,
        GradientAccumulationSteps = 2,
        MaxSteps = Steps,
        MaxLength = 64,
        LearningRate = 3e-3,
        LoggingSteps = 1,
        EvalStrategy = IntervalStrategy.Steps,
        EvalSteps = 4,
        SaveStrategy = IntervalStrategy.Steps,
        SaveSteps = 4,
    };

    private static readonly TrainingArguments Sparing = Short with { MixedPrecision = MixedPrecision.Bf16, GradientCheckpointing = true };

    /// <summary>Task, data, and where it is killed: after a checkpoint; the preferences also before, when only the reference's answers are there.</summary>
    public static TheoryData<string, string, int[], bool> Tasks => new()
    {
        { """ "causal-lm" """, "shakespeare", [7], false },
        { """ {"type": "sft", "packing": true, "over_length": "truncate"} """, "chat", [7], true },
        { """ "dpo" """, "preferences", [2, 7], false },
    };

    [Theory]
    [MemberData(nameof(Tasks))]
    public async Task Killed_at_any_step_a_run_ends_with_the_same_bytes(string task, string data, int[] kills, bool sparing)
    {
        var training = sparing ? Sparing : Short;
        using var whole = Run(task, data, training: training);
        var (exitCode, _, error) = await Finetune.Run("train", whole.Folder.Path);
        Assert.True(exitCode == TrainerExit.Succeeded, error);

        using var broken = Run(task, data, training: training);
        foreach (var step in kills)
        {
            using var process = Finetune.Start("train", broken.Folder.Path);
            await broken.WaitFor(process, happened => happened is StepLogged && happened.Step >= step);
            process.Kill();
            await Finetune.Finish(process);
        }
        Assert.Equal(TrainerExit.Succeeded, (await Finetune.Run("train", broken.Folder.Path)).ExitCode);

        Assert.Equal(Hash(whole), Hash(broken));
        Assert.Equal(LastMetrics(whole), LastMetrics(broken));
        await Finetune.AssertScored(whole.Folder.Checkpoint(Steps), Path.Combine(whole.Folder.Path, "validation.jsonl"), whole.Events.OfType<Evaluated>().Last(), sparing ? 1e-2 : 1e-4); // scored in fp32
    }

    [Fact]
    public async Task A_run_shows_what_it_learns_and_measures()
    {
        using var run = Run("\"dpo\"", "preferences");
        await Finetune.Run("train", run.Folder.Path);

        var samples = File.ReadAllLines(run.Folder.Samples).Select(line => JsonSerializer.Deserialize<TokenSample>(line, SnakeCaseJson.Options)!).ToArray();
        Assert.Equal(["chosen", "rejected", "chosen", "rejected", "chosen", "rejected"], samples.Select(sample => sample.Name));
        Assert.Equal("<|im_end|>", samples[0].Tokens.Last(token => token.Weight > 0).Token);
        Assert.Contains(run.Events.OfType<Noted>(), note => note.Code == "samples");
        Assert.Contains(run.Events.OfType<Noted>(), note => note.Code == "data" && note.Message.StartsWith("train.jsonl: 20 rows, 20 used", StringComparison.Ordinal));
        var logged = run.Events.OfType<StepLogged>().Last().Metrics;
        var evaluated = run.Events.OfType<Evaluated>().Last().Metrics;
        foreach (var name in new[] { "rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "logps/chosen", "logps/rejected" })
            Assert.True(logged.ContainsKey(name) && evaluated.ContainsKey("eval_" + name), name);
        Assert.True(logged["num_input_tokens_seen"] > run.Events.OfType<StepLogged>().First().Metrics["num_input_tokens_seen"]);
        Assert.True(logged["loss"] < 0.6, $"{logged["loss"]}");
    }

    [Fact]
    public async Task A_model_speaks_at_every_evaluation_and_learns_as_if_it_were_silent()
    {
        using var run = Run("\"sft\"", "chat", training: Short with { EvalOnStart = true, MaxLength = 128, MaxSteps = 8 });
        var (exitCode, output, error) = await Finetune.Run("train", run.Folder.Path);
        Assert.True(exitCode == TrainerExit.Succeeded, error);
        using var silent = Run("""{"type": "sft", "sample_prompts": []}""", "chat", training: Short with { EvalOnStart = true, MaxLength = 128, MaxSteps = 8 });
        await Finetune.Run("train", silent.Folder.Path);

        var spoken = run.Events.OfType<Generated>().ToArray();
        Assert.Equal([0, 4, 8], spoken.Select(generated => generated.Step));
        Assert.All(spoken, generated => Assert.Equal(3, generated.Samples.Count));
        Assert.All(spoken.SelectMany(generated => generated.Samples), sample => Assert.EndsWith("<|im_start|>assistant\n", sample.Prompt, StringComparison.Ordinal));
        Assert.NotEqual(spoken[0].Samples.Select(sample => sample.Text), spoken[^1].Samples.Select(sample => sample.Text));
        Assert.Contains("sample at step 8: <|im_start|>", output, StringComparison.Ordinal);
        Assert.Empty(silent.Events.OfType<Generated>());
        Assert.Equal(Hash(silent, 8), Hash(run, 8));
    }

    /// <summary>What is compared with is the base: its adapter off, as TRL has it for a fresh one.</summary>
    [Fact]
    public async Task An_adapter_learns_preferences()
    {
        var training = Short with { LearningRate = 2e-2, EvalOnStart = true, EvalSteps = Steps, SaveSteps = Steps };
        using var run = Run("\"dpo\"", "preferences", new { Type = "lora", R = 8, LoraDropout = 0.1, TargetModules = "all-linear" }, training);
        var (exitCode, _, error) = await Finetune.Run("train", run.Folder.Path);
        Assert.True(exitCode == TrainerExit.Succeeded, error);

        var before = run.Events.OfType<Evaluated>().First().Metrics;
        Assert.Equal(Math.Log(2), before["eval_loss"], 1e-6);
        Assert.Equal(0, before["eval_rewards/margins"], 1e-6);
        var logged = run.Events.OfType<StepLogged>().Select(step => step.Metrics).ToArray();
        Assert.Equal(Math.Log(2), logged[0]["loss"], 1e-6);
        Assert.True(logged[^1]["rewards/margins"] > 0.2, $"{logged[^1]["rewards/margins"]}");
        Assert.Equal(1, logged[^1]["rewards/accuracies"]);
        Assert.True(logged[^1]["rewards/chosen"] > logged[^1]["rewards/rejected"]);
        Assert.True(run.Events.OfType<Evaluated>().Last().Metrics["eval_rewards/margins"] > 0);
        Assert.False(File.Exists(Path.Combine(run.Folder.Checkpoint(Steps), "model.safetensors")));
        Assert.True(File.Exists(Path.Combine(run.Folder.Checkpoint(Steps), "adapter_model.safetensors")));
        await Finetune.AssertScored(run.Folder.Checkpoint(Steps), Path.Combine(run.Folder.Path, "validation.jsonl"), run.Events.OfType<Evaluated>().Last());
    }

    [Fact]
    public async Task A_model_without_the_head_is_not_scored()
    {
        var bert = Path.Combine(Finetune.Samples, "models", "tiny-bert-en");
        var (exitCode, _, error) = await Finetune.Run("evaluate", bert, Path.Combine(Finetune.Samples, "sst2", "dev.tsv"), "--task", "text-classification");

        Assert.Equal(TrainerExit.Faulted, exitCode);
        Assert.Contains("no head for text-classification", error, StringComparison.Ordinal);
        Assert.Contains("--column = text", (await Finetune.Run("evaluate", bert, "rows.csv", "--column", "text")).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_template_that_was_trained_with_goes_with_the_model()
    {
        const string Template = "{% for message in messages %}{{ message.role }}: {% generation %}{{ message.content }}<|im_end|>{% endgeneration %}{% endfor %}";
        using var run = Run(JsonSerializer.Serialize(new { type = "sft", chat_template = Template }), "alpaca");
        await Finetune.Run("train", run.Folder.Path);

        Assert.Equal(Template, File.ReadAllText(Path.Combine(run.Folder.Checkpoint(Steps), "chat_template.jinja")));
    }

    private static SampleRun Run(string task, string data, object? method = null, TrainingArguments? training = null)
    {
        var run = new SampleRun(new
        {
            BaseModel = Path.Combine(AppContext.BaseDirectory, "tiny-llama"),
            Task = JsonSerializer.Deserialize<JsonElement>(task),
            Dataset = new { Train = "train.jsonl", Validation = "validation.jsonl" },
            Method = method ?? "full",
            Training = training ?? Short,
        });
        var rows = File.ReadAllLines(Path.Combine(Finetune.Samples, data, "train.jsonl"));
        File.WriteAllLines(Path.Combine(run.Folder.Path, "train.jsonl"), rows[..^(rows.Length / 5)]);
        File.WriteAllLines(Path.Combine(run.Folder.Path, "validation.jsonl"), rows[^(rows.Length / 5)..]);
        return run;
    }

    private static string Hash(SampleRun run, int step = Steps) => run.Hash(step, "model.safetensors", "optimizer.safetensors");

    /// <summary>But for those that clocks and the machine's memory decide.</summary>
    private static IEnumerable<(string, double)> LastMetrics(SampleRun run) =>
        from happened in new[] { run.Events.OfType<StepLogged>().Last().Metrics, run.Events.OfType<Evaluated>().Last().Metrics }
        from metric in happened
        where !metric.Key.Contains("second", StringComparison.Ordinal) && !metric.Key.EndsWith("runtime", StringComparison.Ordinal) && !metric.Key.EndsWith("_bytes", StringComparison.Ordinal)
        select (metric.Key, metric.Value);
}
