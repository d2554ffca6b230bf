using System.Security.Cryptography;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Tests.Data;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests;

/// <summary>Whatever a run remembers from step to step is in its checkpoints: stopped and continued, it ends with the same bytes.</summary>
[Collection(GlobalGenerator.Name)]
public sealed class ExactResumeTests(ExactResumeTests.Plain plain) : IClassFixture<ExactResumeTests.Plain>
{
    private const int Steps = 9, StopAt = 5;

    [Theory]
    [InlineData("adamw_torch", """{"lr_scheduler_type": "cosine_with_restarts", "lr_scheduler_kwargs": {"num_cycles": 2}}""")]
    [InlineData("adamw_torch", """{"lr_scheduler_type": "reduce_lr_on_plateau", "lr_scheduler_kwargs": {"patience": 0, "factor": 0.5, "threshold": 9, "threshold_mode": "abs"}}""")]
    [InlineData("adamw_torch", """{"ema_decay": 0.9, "mixed_precision": "bf16"}""")]
    [InlineData("adamw_torch", """{"ema_decay": 0.8, "neftune_noise_alpha": 5, "label_smoothing_factor": 0.1}""")]
    [InlineData("adamw_torch", """{"mixed_precision": "fp16"}""")]
    [InlineData("adamw_torch", """{"layerwise_lr_decay": 0.7}""", """{"type": "full", "freeze": {"layers": 1, "embeddings": true}}""")]
    [InlineData("sgd", """{"optim_args": "momentum=0.9,nesterov=true", "lr_scheduler_type": "warmup_stable_decay", "lr_scheduler_kwargs": {"num_decay_steps": 0.5}}""")]
    [InlineData("sgd", """{"optim_args": "momentum=0.9", "mixed_precision": "bf16"}""")]
    [InlineData("adafactor", """{"lr_scheduler_type": "inverse_sqrt"}""")]
    [InlineData("adafactor", """{"mixed_precision": "bf16", "lr_scheduler_type": "reduce_lr_on_plateau", "lr_scheduler_kwargs": {"patience": 0, "factor": 0.5, "threshold": 9, "threshold_mode": "abs"}}""")]
    [InlineData("adamw_8bit", """{"lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": {"power": 2}}""")]
    [InlineData("adamw_8bit", """{"mixed_precision": "bf16", "ema_decay": 0.9}""")]
    [InlineData("adamw_8bit", """{"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr_rate": 0.1}}""")]
    [InlineData("adafactor", """{"ema_decay": 0.9, "layerwise_lr_decay": 0.5}""", """{"type": "lora", "r": 8, "target_modules": "all-linear"}""")]
    public void Stopped_and_continued_a_run_ends_with_the_same_bytes(string optimizer, string arguments, string method = "\"full\"")
    {
        using Run whole = new(optimizer, arguments, method), broken = new(optimizer, arguments, method);

        Assert.True(whole.Train(stopAt: null));
        Assert.False(broken.Train(StopAt));
        Assert.True(broken.Train(stopAt: null));

        Assert.Equal(StopAt, broken.Events.OfType<RunStarted>().Last().Step);
        Assert.Equal(whole.Hashes(), broken.Hashes());
        Assert.Equal(whole.Curve(), broken.Curve());
        Assert.NotEqual(plain.Curve, whole.Curve()); // The arguments change something.
    }

    /// <summary>The checkpoint of a stop is there to go on from: a run that was not stopped has none at that step, and must not end with another model.</summary>
    [Fact]
    public void Where_it_was_stopped_has_no_say_in_which_checkpoint_is_the_best()
    {
        using var run = new Run("adamw_torch", """{"eval_steps": 1, "load_best_model_at_end": true, "greater_is_better": true}""", "\"full\""); // The loss falls: the first candidate is the best.

        Assert.False(run.Train(stopAt: 2));
        Assert.True(run.Train(stopAt: null));

        Assert.Equal(3, run.Events.OfType<RunSucceeded>().Single().BestStep);
    }

    /// <summary>Even where the last is the result: whoever asks for the best later finds it.</summary>
    [Fact]
    public void The_best_checkpoint_stays()
    {
        using var run = new Run("adamw_torch", """{"load_best_model_at_end": false, "greater_is_better": true}""", "\"full\"");

        Assert.True(run.Train(stopAt: null));

        Assert.Equal(3, run.Events.OfType<RunSucceeded>().Single().BestStep);
        Assert.Equal(["checkpoint-3", "checkpoint-9"], Directory.GetDirectories(run.Folder.Checkpoints).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void What_an_average_run_publishes_and_scores_is_the_average()
    {
        using var run = new Run("sgd", """{"ema_decay": 0.99, "learning_rate": 0.5, "eval_strategy": "steps"}""", "\"full\"");
        run.Train(stopAt: null);

        var folder = run.Folder.Checkpoint(Steps);
        using var published = SafetensorsReader.Open(Path.Combine(folder, "model.safetensors"));
        using var state = SafetensorsReader.Open(Path.Combine(folder, "optimizer.safetensors"));
        using var scope = NewDisposeScope();
        const string Name = "model.layers.0.mlp.up_proj.weight";
        Assert.NotEqual(published.Read(Name), state.Read("trained." + Name));
        // The average of so few steps has hardly left the start, whose loss is ln 512; the trained weights have.
        Assert.All(run.Events.OfType<Evaluated>(), evaluated => Assert.Equal(Math.Log(512), evaluated.Metrics["eval_loss"], 0.05));
        Assert.True(run.Curve()[^1] < Math.Log(512) - 0.3, $"{run.Curve()[^1]}");
    }

    /// <summary>AdamW with nothing else asked for.</summary>
    public sealed class Plain
    {
        public Plain()
        {
            using var run = new Run("adamw_torch", "{}", "\"full\"");
            run.Train(stopAt: null);
            Curve = run.Curve();
        }

        public IReadOnlyList<double> Curve { get; }
    }

    private sealed class Run : IDisposable
    {
        public Run(string optimizer, string arguments, string method)
        {
            // Wide enough for state in 8 bits.
            var model = Directory.CreateDirectory(Path.Combine(Folder.Path, "base")).FullName;
            foreach (var file in Directory.EnumerateFiles(LanguageFixtures.TinyLlama).Where(file => !file.EndsWith(".safetensors", StringComparison.Ordinal)))
                File.Copy(file, Path.Combine(model, Path.GetFileName(file)));
            var config = JsonNode.Parse(File.ReadAllText(Path.Combine(model, "config.json")))!;
            (config["hidden_size"], config["head_dim"], config["intermediate_size"]) = (64, 16, 96);
            File.WriteAllText(Path.Combine(model, "config.json"), config.ToJsonString());
            File.WriteAllLines(Path.Combine(Folder.Path, "train.jsonl"), File.ReadLines(Path.Combine(AppContext.BaseDirectory, "samples", "shakespeare", "train.jsonl")).Take(12));

            var training = JsonNode.Parse($$"""
                {"optim": "{{optimizer}}", "max_steps": {{Steps}}, "max_length": 32, "per_device_train_batch_size": 4, "learning_rate": 0.01, "logging_steps": 1,
                 "eval_strategy": "steps", "eval_steps": 3, "save_strategy": "steps", "save_steps": 3, "load_best_model_at_end": false}
                """)!.AsObject();
            foreach (var (name, value) in JsonNode.Parse(arguments)!.AsObject())
                training[name] = value?.DeepClone();
            var isAdapter = method.Contains("lora", StringComparison.Ordinal);
            var spec = new JsonObject
            {
                ["base_model"] = isAdapter ? LanguageFixtures.TinyLlama : "base",
                ["init"] = isAdapter ? "pretrained" : "config",
                ["task"] = new JsonObject { ["type"] = "causal-lm", ["sample_prompts"] = new JsonArray() },
                ["dataset"] = new JsonObject { ["train"] = "train.jsonl", ["validation_split"] = 0.2 },
                ["method"] = JsonNode.Parse(method),
                ["training"] = training,
            };
            File.WriteAllText(Folder.Job, spec.ToJsonString());
        }

        public RunFolder Folder { get; } = new(Directory.CreateTempSubdirectory("resume-").FullName);

        public List<TrainingEvent> Events { get; } = [];

        public bool Train(int? stopAt)
        {
            using var stop = new CancellationTokenSource();
            using var run = TrainingRun.Prepare(Folder, CPU, Heard, TimeProvider.System);
            return run.Trainer.Train(stop.Token) == TrainingEnd.Completed;

            void Heard(TrainingEvent happened)
            {
                Events.Add(happened);
                if (happened is StepLogged { Step: var step } && step == stopAt)
                    stop.Cancel();
            }
        }

        /// <summary>Of model and optimizer at the end.</summary>
        public IEnumerable<string> Hashes() => Directory.GetFiles(Folder.Checkpoint(Steps), "*.safetensors").Order(StringComparer.Ordinal)
            .Select(file => $"{Path.GetFileName(file)} {Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(file)))}");

        public IReadOnlyList<double> Curve() => [.. Events.OfType<StepLogged>().Select(logged => logged.Metrics["loss"])];

        public void Dispose() => Directory.Delete(Folder.Path, recursive: true);
    }
}
