using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Generation;
using FineTuneService.Training.Models;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.RandomSpecs;

/// <summary>
/// Whatever goes together in a specification is run: it is refused before the first step, with a field and a way out, or it keeps every promise that runs make.
/// <c>RANDOM_SPECS=100-400</c> draws other specifications than usual.
/// </summary>
[Trait("Suite", "slow")]
[Collection(GlobalGenerator.Name)]
public sealed class RandomSpecsTests(ITestOutputHelper output)
{
    public static TheoryData<int> Seeds
    {
        get
        {
            var range = (Environment.GetEnvironmentVariable("RANDOM_SPECS") ?? "0-59").Split('-');
            return [.. Enumerable.Range(int.Parse(range[0], null), int.Parse(range[^1], null) - int.Parse(range[0], null) + 1)];
        }
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void A_specification_is_refused_in_time_or_keeps_every_promise(int seed)
    {
        var spec = new RandomSpec(seed);
        try
        {
            using var whole = new RandomRun(spec);
            if (!Trains(whole, seed))
                return;
            IsComplete(whole, spec);
            CanBeBroken(spec, whole, new Draw(seed));
            TakesTheSameFirstStepOtherwise(spec, whole);
            CanBeUsed(spec, whole);
            CanBeGoneOnFrom(spec, whole);
        }
        catch (Exception error)
        {
            throw new InvalidOperationException($"{error.GetType().Name}: {error.Message}\n{error.StackTrace?[..Math.Min(error.StackTrace.Length, 1500)]}\nseed {seed}: {spec}", error);
        }
    }

    private bool Trains(RandomRun run, int seed)
    {
        try
        {
            Assert.Equal(TrainingEnd.Completed, run.Train());
            return true;
        }
        catch (FaultException refused) when (!run.HasBegun)
        {
            output.WriteLine($"REFUSED {seed}: {refused.Message}\n{new RandomSpec(seed).Job.ToJsonString()}");
            Assert.All(refused.Faults, fault => Assert.True(fault.Message.Length > 0 && fault.Remedy.Length > 0, $"{fault}"));
            return false;
        }
    }

    private static void IsComplete(RandomRun run, RandomSpec spec)
    {
        var (training, started, success) = (spec.Job["training"]!, run.Events.OfType<RunStarted>().Single(), run.Success);
        Assert.True(success.FinalStep == started.TotalSteps || training["early_stopping_patience"] is not null);
        var logged = run.Events.OfType<StepLogged>().ToList();
        Assert.True(logged.Any(step => step.Step == started.TotalSteps) || training["early_stopping_patience"] is not null);
        Assert.All(logged, step => Assert.True(double.IsFinite(step.Metrics["loss"]), $"loss of step {step.Step}"));
        if ((string?)training["mixed_precision"] != "fp16")
            Assert.All(logged, step => Assert.True(double.IsFinite(step.Metrics["grad_norm"]), $"norm of step {step.Step}"));

        var stepsPerEpoch = (int)Math.Round(success.Step / success.Epoch);
        var evaluates = started.ValidationRows > 0;
        List<int> evaluated = [.. Due((string?)training["eval_strategy"], training["eval_steps"] ?? training["logging_steps"]!)], saved = [.. Due((string?)training["save_strategy"], training["save_steps"] ?? 500)];
        var evaluations = run.Events.OfType<Evaluated>().Where(evaluation => evaluation.Split == "validation").ToDictionary(evaluation => evaluation.Step, evaluation => evaluation.Metrics);
        Assert.Equal(evaluates ? [.. training["eval_on_start"] is null ? [] : new[] { 0 }, .. evaluated] : [], evaluations.Keys.Order());
        Assert.All(evaluations.Values, metrics => Assert.True(double.IsFinite(metrics["eval_loss"])));
        Assert.Equal(File.Exists(Path.Combine(run.Folder.Path, "test.jsonl")), run.Events.OfType<Evaluated>().Any(evaluation => evaluation.Split == "test"));

        var named = (string?)training["metric_for_best_model"] ?? ((double?)training["forgetting_weight"] > 0 ? "forgetting_aware_loss" : "loss");
        var metric = named.StartsWith("eval_", StringComparison.Ordinal) ? named : "eval_" + named;
        var rises = (bool?)training["greater_is_better"] ?? !new[] { "loss", "perplexity", "mse" }.Any(ending => named.EndsWith(ending, StringComparison.Ordinal));
        var kept = new List<int>();
        (int Step, double Value)? best = null;
        foreach (var step in saved.Append(success.FinalStep).Distinct())
        {
            kept.Add(step);
            if (evaluations.GetValueOrDefault(step) is { } metrics && (best is null || double.IsNaN(best.Value.Value) || (rises ? metrics[metric] > best.Value.Value : metrics[metric] < best.Value.Value)))
                best = (step, metrics[metric]);
            var others = kept.Where(other => other != best?.Step).ToList();
            kept.RemoveAll(other => others.SkipLast((int?)training["save_total_limit"] ?? 1).Contains(other));
        }
        Assert.Equal(kept, run.Checkpoints);
        Assert.Equal(best?.Step, success.BestStep);

        IEnumerable<int> Due(string? strategy, JsonNode every)
        {
            var given = double.Parse(every.ToString(), System.Globalization.CultureInfo.InvariantCulture);
            var steps = (int)Math.Ceiling(given < 1 ? given * started.TotalSteps : given);
            return Enumerable.Range(1, success.FinalStep).Where(step => strategy switch
            {
                "steps" => step % steps == 0,
                "epoch" => step % stepsPerEpoch == 0 || step == started.TotalSteps,
                _ => false,
            });
        }
    }

    private static void CanBeBroken(RandomSpec spec, RandomRun whole, Draw draw)
    {
        var begun = whole.Events.FindIndex(happened => happened is RunStarted);
        var stopAt = draw.Between(begun, whole.Events.Count - 2);
        using var broken = new RandomRun(spec);
        var end = broken.Train(stopAt);
        if (end == TrainingEnd.Stopped && draw.Chance(0.3))
            end = broken.Train(begun + draw.Between(0, 9));
        if (end == TrainingEnd.Stopped)
            end = broken.Train();
        Assert.Equal(TrainingEnd.Completed, end);

        var where = $"stopped at event {stopAt}: {whole.Events[stopAt].GetType().Name} of step {whole.Events[stopAt].Step}";
        Assert.True(whole.Curve().SequenceEqual(broken.Curve()), $"{where}\n{string.Join('\n', whole.Curve())}\n--- but\n{string.Join('\n', broken.Curve())}");
        var (expected, actual) = (whole.Success, broken.Success);
        Assert.True((expected.FinalStep, expected.BestStep, expected.BestMetric) == (actual.FinalStep, actual.BestStep, actual.BestMetric), $"{where}: {expected} but {actual}");
        foreach (var step in new[] { expected.FinalStep, expected.BestStep ?? expected.FinalStep }.Distinct())
            Assert.True(whole.Hashes(step).SequenceEqual(broken.Hashes(step)), $"{where}\n{string.Join('\n', whole.Hashes(step))}\n--- but\n{string.Join('\n', broken.Hashes(step))}");
    }

    private static void TakesTheSameFirstStepOtherwise(RandomSpec spec, RandomRun whole)
    {
        var training = spec.Job["training"]!;
        if (whole.Events.OfType<StepLogged>().FirstOrDefault(logged => logged.Step == 1)?.Metrics["loss"] is not { } loss)
            return;
        var precision = (string?)training["mixed_precision"];
        var isDrawn = spec.HasDropout || spec.Job["method"] is JsonObject method && method["lora_dropout"] is not null || training["neftune_noise_alpha"] is not null || spec.Head == ModelHead.ReplacedTokenDetection;
        var tolerance = precision is null ? 1e-4 : 0.02;
        var checkpointing = training["gradient_checkpointing"] is null;
        if (!isDrawn)
            IsNear(FirstLoss(changed => changed["gradient_checkpointing"] = checkpointing), tolerance, $"gradient checkpointing {checkpointing}");
        // Some frequencies of positions change with the longest row of a batch.
        var isOfBatch = spec.ToString() is var shown && (shown.Contains("\"dynamic\"", StringComparison.Ordinal) || shown.Contains("\"longrope\"", StringComparison.Ordinal));
        if (!isDrawn && !isOfBatch && (int)training["per_device_train_batch_size"]! > 1)
            IsNear(FirstLoss(_ => { }, new() { MicroBatchSize = 2 }), tolerance, "smaller micro-batches");
        var (batch, accumulation) = ((int)training["per_device_train_batch_size"]!, (int)training["gradient_accumulation_steps"]!);
        if (!isDrawn && !isOfBatch && accumulation > 1 && training["dataloader_drop_last"] is null)
            IsNear(
                FirstLoss(changed => (changed["per_device_train_batch_size"], changed["gradient_accumulation_steps"]) = (batch * accumulation, 1)), tolerance, "one big batch");
        if (!isDrawn && precision != "fp16")
            IsNear(FirstLoss(changed => changed["mixed_precision"] = precision is null ? "bf16" : "no"), 0.05, "another precision");

        double FirstLoss(Action<JsonObject> change, RunAdaptation? adaptation = null)
        {
            using var run = new RandomRun(spec, job =>
            {
                var changed = (JsonObject)job["training"]!;
                // Shares of all steps are no whole steps of one.
                foreach (var name in new[] { "eval_steps", "early_stopping_patience", "early_stopping_threshold", "eval_on_start", "metric_for_best_model", "greater_is_better", "forgetting_check", "forgetting_weight", "lr_scheduler_kwargs", "lr_scheduler_type" })
                    changed.Remove(name);
                (changed["max_steps"], changed["eval_strategy"], changed["save_strategy"], changed["load_best_model_at_end"]) = (1, "no", "no", false);
                change(changed);
            });
            if (adaptation is not null)
                RunAdaptation.Change(run.Folder, _ => adaptation);
            Assert.Equal(TrainingEnd.Completed, run.Train());
            return run.Events.OfType<StepLogged>().Single().Metrics["loss"];
        }

        void IsNear(double other, double within, string what) => Assert.True(Math.Abs(loss - other) <= within * Math.Max(1, Math.Abs(loss)), $"{what}: the first loss is {other} in place of {loss}");
    }

    /// <summary>What a job that goes on with the result scores before its first step is what the result scored.</summary>
    private static void CanBeGoneOnFrom(RandomSpec spec, RandomRun run)
    {
        if (spec.Head == ModelHead.ReplacedTokenDetection || (string?)spec.Job["task"]!["type"] == "dpo" || !File.Exists(Path.Combine(run.Folder.Path, "validation.jsonl")))
            return; // The generator is not in it; and what is preferred depends on where it began.
        if (run.Events.OfType<Evaluated>().LastOrDefault(evaluated => evaluated.Split == "validation") is not { } last || last.Step != run.Success.FinalStep)
            return;
        var result = run.Folder.Checkpoint(run.Success.FinalStep);
        using var next = new RandomRun(spec, job =>
        {
            if (job["method"] is JsonObject method && ((string)method["type"]!).EndsWith("lora", StringComparison.Ordinal))
                job["method"] = new JsonObject { ["type"] = (string)method["type"]!, ["adapter"] = result };
            else
                (job["base_model"], job["init"]) = (result, "pretrained");
            (job["training"]!["max_steps"], job["training"]!["eval_on_start"]) = (1, true);
            ((JsonObject)job["training"]!).Remove("kl_to_base_weight");
        });
        Assert.Equal(TrainingEnd.Completed, next.Train());
        var (before, after) = (last.Metrics["eval_loss"], next.Events.OfType<Evaluated>().First(evaluated => evaluated.Split == "validation").Metrics["eval_loss"]);
        Assert.True(Math.Abs(before - after) <= (IsExact(spec) ? 1e-4 : 0.05) * Math.Max(1, before), $"The result had the loss {before}; who goes on with it begins at {after}.");
    }

    /// <summary>Whether what is saved is what was trained, to the last bit.</summary>
    private static bool IsExact(RandomSpec spec) =>
        spec.Job["training"]!["mixed_precision"] is null && (string?)(spec.Job["method"] as JsonObject)?["type"] != "qlora" && spec.ToString().Contains("\"dtype\":\"float32\"", StringComparison.Ordinal);

    private static void CanBeUsed(RandomSpec spec, RandomRun run)
    {
        var baseFolder = spec.Job["method"] is JsonObject method && ((string?)method["type"])!.EndsWith("lora", StringComparison.Ordinal) ? Path.Combine(run.Folder.Path, "base") : null;
        var folder = run.Folder.Checkpoint(run.Success.FinalStep);
        var validation = Path.Combine(run.Folder.Path, "validation.jsonl");
        if (File.Exists(validation) && run.Events.OfType<Evaluated>().LastOrDefault(evaluated => evaluated.Split == "validation") is { } last && last.Step == run.Success.FinalStep)
        {
            var scores = new FolderEvaluation(folder, new(new() { Train = validation }, BaseFolder: baseFolder, BatchSize: (int)spec.Job["training"]!["per_device_eval_batch_size"]!)).Run(CPU);
            var within = IsExact(spec) ? 1e-4 : 0.05;
            var loss = last.Metrics["eval_loss"];
            Assert.True(Math.Abs(scores.Metrics["loss"] - loss) <= within * Math.Max(1, Math.Abs(loss)), $"The loaded folder has the loss {scores.Metrics["loss"]}, the run had {loss}.");
            if (within < 0.01)
                foreach (var (name, value) in scores.Metrics.Where(metric => last.Metrics.ContainsKey("eval_" + metric.Key) && !metric.Key.Contains("per_second", StringComparison.Ordinal) && metric.Key != "runtime"))
                    Assert.True(
                        value.Equals(last.Metrics["eval_" + name]) || Math.Abs(value - last.Metrics["eval_" + name]) <= within * Math.Max(1, Math.Abs(value)),
                        $"The loaded folder has {name} {value}, the run had {last.Metrics["eval_" + name]}.");
        }
        switch (spec.Head)
        {
            case ModelHead.SequenceClassification or ModelHead.TokenClassification:
                using (var classifier = Classifier.Load(folder, CPU, baseFolder))
                    Assert.Equal(2, classifier.Predict([new() { Text = "the river" }, new() { Text = "corn at night , slowly" }]).Count);
                break;
            case ModelHead.CausalLm:
                using (var generator = new TextGenerator(folder, CPU, baseFolder))
                    Assert.All(generator.Generate(["the", "a king walks"], new() { MaxNewTokens = 3 }), Assert.NotNull);
                break;
        }
    }
}
