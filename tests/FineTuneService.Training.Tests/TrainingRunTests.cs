using FineTuneService.Contracts;
using FineTuneService.Training.Native;
using FineTuneService.Training.Tests.Data;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests;

[Collection(GlobalGenerator.Name)]
public sealed class TrainingRunTests : IDisposable
{
    private readonly RunFolder _folder = new(Directory.CreateTempSubdirectory("run-").FullName);

    public void Dispose() => Directory.Delete(_folder.Path, recursive: true);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Tf32_is_as_the_run_wants_it_whatever_was_before(bool wanted)
    {
        backends.cuda.matmul.allow_tf32 = backends.cudnn.allow_tf32 = !wanted;
        File.WriteAllText(Path.Combine(_folder.Path, "train.jsonl"), """{"text": "a few words"}""" + '\n');
        File.WriteAllText(_folder.Job, $$"""
            {"base_model": "{{LanguageFixtures.TinyLlama}}", "task": "causal-lm", "dataset": {"train": "train.jsonl", "validation_split": 0}, "training": {"max_steps": 1, "eval_strategy": "no", "tf32": {{(wanted ? "true" : "false")}} } }
            """);

        using var run = TrainingRun.Prepare(_folder, CPU, _ => { }, TimeProvider.System);

        Assert.Equal((wanted, wanted), (backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32));
    }

    [Theory]
    [InlineData("fp16")]
    [InlineData("bf16")]
    public void A_precision_that_this_processor_is_slow_in_is_told(string precision)
    {
        File.WriteAllText(Path.Combine(_folder.Path, "train.jsonl"), """{"text": "a few words"}""" + '\n');
        File.WriteAllText(_folder.Job, $$"""
            {"base_model": "{{LanguageFixtures.TinyLlama}}", "task": "causal-lm", "dataset": {"train": "train.jsonl", "validation_split": 0}, "training": {"max_steps": 1, "eval_strategy": "no", "mixed_precision": "{{precision}}"} }
            """);
        var events = new List<TrainingEvent>();

        using var run = TrainingRun.Prepare(_folder, CPU, events.Add, TimeProvider.System);

        Assert.Equal(precision == "fp16" && !MathKernels.MultipliesFp16, events.OfType<Noted>().Any(noted => noted.Code == "slow_precision"));
    }

    /// <summary>What only training rows are to have, as weights of classes, is no part of a score.</summary>
    [Theory]
    [InlineData("""{"type": "text-classification", "class_weights": {"b": 9}}""", """{"text": "a few words", "label": "a"}""", """{"text": "others", "label": "b"}""")]
    [InlineData("""{"type": "token-classification", "label_all_tokens": true}""", """{"tokens": ["unhappily", "noon"], "tags": ["O", "B-X"]}""", """{"tokens": ["otherworldly"], "tags": ["B-X"]}""")]
    public void A_finished_run_is_scored_as_it_scored_itself(string task, params string[] rows)
    {
        File.WriteAllLines(Path.Combine(_folder.Path, "rows.jsonl"), rows);
        File.WriteAllText(_folder.Job, $$"""
            {"base_model": "{{Path.Combine(AppContext.BaseDirectory, "samples", "models", "tiny-bert-en")}}", "task": {{task}}, "dataset": {"train": "rows.jsonl", "validation": "rows.jsonl"}, "training": {"max_steps": 1} }
            """);
        var events = new List<TrainingEvent>();
        using (var run = TrainingRun.Prepare(_folder, CPU, events.Add, TimeProvider.System))
            run.Trainer.Train(CancellationToken.None);

        var scores = new FolderEvaluation(_folder.Checkpoint(1), new(new() { Train = Path.Combine(_folder.Path, "rows.jsonl") })).Run(CPU);

        Assert.Equal(events.OfType<Evaluated>().Last().Metrics["eval_loss"], scores.Metrics["loss"], 1e-5);
    }

    /// <summary>Otherwise an index would be out of range, somewhere in the middle of training.</summary>
    [Fact]
    public void A_tokenizer_with_more_tokens_than_the_model_is_refused()
    {
        foreach (var file in Directory.EnumerateFiles(LanguageFixtures.TinyLlama))
            File.Copy(file, Path.Combine(_folder.Path, Path.GetFileName(file)));
        var config = Path.Combine(_folder.Path, "config.json");
        File.WriteAllText(config, File.ReadAllText(config).Replace("\"vocab_size\": 512", "\"vocab_size\": 500", StringComparison.Ordinal));
        File.WriteAllText(Path.Combine(_folder.Path, "train.jsonl"), """{"text": "a few words"}""" + '\n');
        File.WriteAllText(_folder.Job, """{"base_model": ".", "init": "config", "task": "causal-lm", "dataset": {"train": "train.jsonl"} }""");

        var fault = Assert.Single(Assert.Throws<FaultException>(() => TrainingRun.Prepare(_folder, CPU, _ => { }, TimeProvider.System)).Faults);

        Assert.Equal("/base_model", fault.Pointer);
        Assert.Contains("512 tokens, its embeddings 500", fault.Message);
    }
}
