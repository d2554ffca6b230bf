using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;

namespace FineTuneService.Cli.Tests;

/// <summary>The slow proof that a run may be killed at any instant, whatever it is doing: it goes on to the bytes that it would have had.</summary>
[Trait("Suite", "slow"), Trait("Suite", "faults")]
public sealed class KillProof
{
    private const int Kills = 10, AtOnce = 2, Steps = 12;

    private const string Sst2 = "sst2/train.tsv", Shakespeare = "shakespeare/train.jsonl", Chat = "chat/train.jsonl", Preferences = "preferences/train.jsonl", Entities = "entities/train.jsonl";

    /// <summary>Task, base model, data, method, and what differs from <see cref="Usual"/>: two hundred kills together.</summary>
    public static TheoryData<string, string, string, string, string> Configurations => new()
    {
        { "text-classification", "tiny-bert-en", Sst2, "full", "{}" },
        { "text-classification", "tiny-bert-en", Sst2, "lora", """{"lr_scheduler_type": "cosine"}""" },
        { "text-classification", "tiny-bert-en", Sst2, "full", """{"optim": "adamw_8bit", "gradient_accumulation_steps": 3}""" },
        { "text-classification", "tiny-bert-en", Sst2, "full", """{"optim": "adafactor", "mixed_precision": "bf16", "lr_scheduler_type": "inverse_sqrt"}""" },
        { "text-classification", "tiny-bert-en", Sst2, "full", """{"optim": "sgd", "optim_args": "momentum=0.9", "lr_scheduler_type": "reduce_lr_on_plateau"}""" },
        { "text-classification", "tiny-bert-en", Sst2, "full", """{"ema_decay": 0.9, "mixed_precision": "fp16"}""" },
        { "text-classification", "tiny-bert-en", Sst2, "full", """{"train_sampling_strategy": "group_by_length", "label_smoothing_factor": 0.1, "neftune_noise_alpha": 5, "gradient_accumulation_steps": 2}""" },
        { "text-classification", "tiny-bert-en", Sst2, """{"type": "full", "freeze": {"layers": 1, "embeddings": true}}""", """{"layerwise_lr_decay": 0.8}""" },
        { "text-classification", "tiny-bert-en", Sst2, "full", """{"mixed_precision": "bf16", "gradient_checkpointing": true, "save_total_limit": 1}""" },
        { "text-classification", "tiny-bert-en", Sst2, "full", """{"optim": "adamw_8bit", "mixed_precision": "bf16", "lr_scheduler_type": "polynomial"}""" },
        { "token-classification", "tiny-bert-en", Entities, "full", """{"lr_scheduler_type": "warmup_stable_decay", "lr_scheduler_kwargs": {"num_decay_steps": 0.5}}""" },
        { "masked-lm", "tiny-bert-en", Sst2, "full", """{"gradient_accumulation_steps": 2}""" },
        { "causal-lm", "tiny-llama-en", Shakespeare, "full", """{"lr_scheduler_type": "cosine_with_restarts", "lr_scheduler_kwargs": {"num_cycles": 2}}""" },
        { "causal-lm", "tiny-llama-en", Shakespeare, """{"type": "lora", "use_dora": true, "target_modules": "all-linear", "lora_dropout": 0.1}""", "{}" },
        { "causal-lm", "tiny-llama-en", Shakespeare, "qlora", "{}" },
        { "causal-lm", "tiny-llama-en", Shakespeare, """{"type": "qlora", "target_modules": "all-linear"}""", """{"mixed_precision": "bf16", "gradient_checkpointing": true, "optim": "adamw_8bit"}""" },
        { """{"type": "sft", "packing": true, "over_length": "truncate"}""", "tiny-llama", Chat, "full", """{"mixed_precision": "bf16"}""" },
        { """{"type": "sft", "over_length": "truncate"}""", "tiny-llama", Chat, """{"type": "lora", "use_rslora": true}""", """{"gradient_accumulation_steps": 4}""" },
        { "dpo", "tiny-llama", Preferences, "full", "{}" },
        { "dpo", "tiny-llama", Preferences, "lora", """{"ema_decay": 0.9}""" },
    };

    private static object Usual => new
    {
        PerDeviceTrainBatchSize = 4,
        MaxSteps = Steps,
        MaxLength = 64,
        LearningRate = 1e-3,
        LoggingSteps = 1,
        EvalStrategy = "steps",
        EvalSteps = 3,
        SaveStrategy = "steps",
        SaveSteps = 3,
    };

    [Theory]
    [MemberData(nameof(Configurations))]
    public async Task Killed_at_any_instant_a_run_ends_with_the_same_bytes(string task, string model, string data, string method, string training)
    {
        using var whole = Run(task, model, data, method, training);
        var clock = Stopwatch.StartNew();
        var (exitCode, _, error) = await Finetune.Run("train", whole.Folder.Path);
        Assert.True(exitCode == TrainerExit.Succeeded, error);
        var duration = clock.Elapsed;

        var kills = 0;
        await Parallel.ForEachAsync(Enumerable.Range(0, Kills), new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = TestContext.Current.CancellationToken }, async (_, cancel) =>
        {
            using var broken = Run(task, model, data, method, training);
            for (var isKilled = false; !isKilled;)
            {
                using var process = Finetune.Start("train", broken.Folder.Path);
                await Task.WhenAny(process.WaitForExitAsync(cancel), Task.Delay(duration * Random.Shared.NextDouble(), cancel));
                isKilled = !process.HasExited;
                process.Kill();
                await Finetune.Finish(process);
                if (!isKilled)
                    Directory.Delete(broken.Folder.Checkpoints, recursive: true); // It was quicker than its instant: once more.
            }
            Interlocked.Increment(ref kills);

            var (resumed, _, complaint) = await Finetune.Run("train", broken.Folder.Path);

            Assert.True(resumed == TrainerExit.Succeeded, complaint);
            Assert.Equal(Result(whole), Result(broken));
        });
        Assert.Equal(Kills, kills);
        TestContext.Current.TestOutputHelper!.WriteLine(FormattableString.Invariant($"{kills} kills within {duration.TotalSeconds:F1} s, {clock.Elapsed.TotalSeconds:F0} s"));
    }

    private static SampleRun Run(string task, string model, string data, string method, string training)
    {
        var arguments = JsonSerializer.SerializeToNode(Usual, SnakeCaseJson.Options)!.AsObject();
        foreach (var (name, value) in JsonNode.Parse(training)!.AsObject())
            arguments[name] = value!.DeepClone();
        var run = new SampleRun(new
        {
            BaseModel = model == "tiny-llama" ? Path.Combine(AppContext.BaseDirectory, model) : Path.Combine(Finetune.Samples, "models", model),
            Task = OneOf(task),
            Dataset = new { Train = "train" + Path.GetExtension(data), Validation = "validation" + Path.GetExtension(data), TextColumn = task == "masked-lm" ? "text" : null },
            Method = OneOf(method),
            Training = arguments,
        });
        var rows = File.ReadLines(Path.Combine(Finetune.Samples, data)).Take(120).ToArray();
        var header = data == Sst2 ? 1 : 0;
        File.WriteAllLines(Path.Combine(run.Folder.Path, "train" + Path.GetExtension(data)), rows[..^(rows.Length / 5)]);
        File.WriteAllLines(Path.Combine(run.Folder.Path, "validation" + Path.GetExtension(data)), [.. rows[..header], .. rows[^(rows.Length / 5)..]]);
        return run;
    }

    /// <summary>A name, or an object.</summary>
    private static JsonElement OneOf(string given) => given.StartsWith('{') ? JsonSerializer.Deserialize<JsonElement>(given) : JsonSerializer.SerializeToElement(given);

    /// <summary>Weights, what the optimizer remembers, and the curve, each step's as its last attempt logged it.</summary>
    private static string Result(SampleRun run)
    {
        var folder = run.Folder.Checkpoint(Steps);
        var weights = Directory.GetFiles(folder, "*.safetensors").Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal).ToArray();
        var losses = run.Events.OfType<StepLogged>().GroupBy(logged => logged.Step).OrderBy(step => step.Key).Select(step => $"{step.Key} {step.Last().Metrics["loss"]:R}");
        return run.Hash(Steps, weights) + '\n' + string.Join('\n', losses);
    }
}
