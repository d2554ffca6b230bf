using System.Security.Cryptography;
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

    /// <summary>Task, data, and where it is killed: after a checkpoint; the preferences also before, when only the reference's answers are there.</summary>
    public static TheoryData<string, string, int[]> Tasks => new()
    {
        { """ "causal-lm" """, "shakespeare", [7] },
        { """ {"type": "sft", "packing": true, "over_length": "truncate"} """, "chat", [7] },
        { """ "dpo" """, "preferences", [2, 7] },
    };

    [Theory]
    [MemberData(nameof(Tasks))]
    public async Task Killed_at_any_step_a_run_ends_with_the_same_bytes(string task, string data, int[] kills)
    {
        using var whole = Run(task, data);
        var (exitCode, _, error) = await Finetune.Run("train", whole.Folder.Path);
        Assert.True(exitCode == TrainerExit.Succeeded, error);

        using var broken = Run(task, data);
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
        Assert.Contains(run.Events.OfType<Noted>(), note => note.Code == "data" && note.Message.StartsWith("train.jsonl: 24 rows, 24 used", StringComparison.Ordinal));
        var logged = run.Events.OfType<StepLogged>().Last().Metrics;
        var evaluated = run.Events.OfType<Evaluated>().Last().Metrics;
        foreach (var name in new[] { "rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "logps/chosen", "logps/rejected" })
            Assert.True(logged.ContainsKey(name) && evaluated.ContainsKey("eval_" + name), name);
        Assert.True(logged["num_input_tokens_seen"] > run.Events.OfType<StepLogged>().First().Metrics["num_input_tokens_seen"]);
        Assert.True(logged["loss"] < 0.6, $"{logged["loss"]}");
    }

    [Fact]
    public async Task The_template_that_was_trained_with_goes_with_the_model()
    {
        const string Template = "{% for message in messages %}{{ message.role }}: {% generation %}{{ message.content }}<|im_end|>{% endgeneration %}{% endfor %}";
        using var run = Run(JsonSerializer.Serialize(new { type = "sft", chat_template = Template }), "alpaca");
        await Finetune.Run("train", run.Folder.Path);

        Assert.Equal(Template, File.ReadAllText(Path.Combine(run.Folder.Checkpoint(Steps), "chat_template.jinja")));
    }

    private static SampleRun Run(string task, string data) => new(new
    {
        BaseModel = Path.Combine(AppContext.BaseDirectory, "tiny-llama"),
        Task = JsonSerializer.Deserialize<JsonElement>(task),
        Dataset = new { Train = Path.Combine(Finetune.Samples, data, "train.jsonl"), ValidationSplit = 0.2 },
        Training = Short,
    });

    private static string Hash(SampleRun run) => string.Concat(new[] { "model.safetensors", "optimizer.safetensors" }
        .Select(file => Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(Path.Combine(run.Folder.Checkpoint(Steps), file))))));

    /// <summary>But for those that clocks and the machine's memory decide.</summary>
    private static IEnumerable<(string, double)> LastMetrics(SampleRun run) =>
        from happened in new[] { run.Events.OfType<StepLogged>().Last().Metrics, run.Events.OfType<Evaluated>().Last().Metrics }
        from metric in happened
        where !metric.Key.Contains("second", StringComparison.Ordinal) && !metric.Key.EndsWith("runtime", StringComparison.Ordinal) && metric.Key != "resident_bytes"
        select (metric.Key, metric.Value);
}
