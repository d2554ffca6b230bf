using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using FineTuneService.Contracts;

namespace FineTuneService.Cli.Tests;

/// <summary>The jobs in samples/jobs, shortened to a few steps, on the first of the rows that they name.</summary>
public sealed partial class SampleJobTests : IDisposable
{
    private readonly RunFolder _run = new(Directory.CreateTempSubdirectory("finetune-sample-").FullName);

    public void Dispose() => Directory.Delete(_run.Path, recursive: true);

    [Fact]
    public async Task Film_language_teaches_a_masked_language_model()
    {
        await Train("film-language", 6);

        Assert.Equal("BertForMaskedLM", Architecture(6));
        var (before, after) = (Evaluations[0].Metrics, Evaluations[^1].Metrics);
        Assert.InRange(before["eval_loss"], 3, 6); // Its pre-training ended at 4.24 on like texts; guessing among 8,192 words costs 9.01.
        Assert.InRange(after["eval_loss"], 3, 6);
        Assert.Equal(Math.Exp(after["eval_loss"]), after["eval_perplexity"], 6);
        Assert.InRange(after["eval_mean_token_accuracy"], 0.1, 0.6);
        Assert.Contains(Events, happened => happened is StepLogged logged && logged.Metrics.ContainsKey("mean_token_accuracy"));
        Assert.DoesNotContain(Events.OfType<Noted>(), note => note.Code == "new_weights"); // The base model brings its head.
        await Finetune.AssertScored(_run.Checkpoint(6), Path.Combine(_run.Path, "dev.tsv"), Evaluations[^1]);
    }

    [Fact]
    public async Task Entities_finds_them_and_tells_where_they_stand()
    {
        await Train("entities", 40);

        Assert.Equal("BertForTokenClassification", Architecture(40));
        Assert.InRange(Evaluations[^1].Metrics["eval_f1"], 0.6, 1);
        var (exitCode, output, error) = await Finetune.Run("predict", _run.Checkpoint(40), "😀 Ada Novak flew from Lisbon to Oslo.");
        Assert.True(exitCode == 0, error);
        var entities = JsonSerializer.Deserialize<Prediction>(output, SnakeCaseJson.Options)!.Entities!;
        Assert.Contains(entities, entity => entity is { Label: "LOC", Text: "Lisbon", Start: 22, End: 28 });
        Assert.All(entities, entity => Assert.InRange(entity.Score, 0, 1));
        await Finetune.AssertScored(_run.Checkpoint(40), Path.Combine(_run.Path, "dev.jsonl"), Evaluations[^1]);
    }

    /// <summary>The base model has read Shakespeare without line ends, and English of today.</summary>
    [Fact]
    public async Task Shakespeare_lora_adapts_a_language_model()
    {
        await Train("shakespeare-lora", 30);

        Assert.InRange(Evaluations[0].Metrics["eval_loss"], 6, 7);
        Assert.InRange(Evaluations[^1].Metrics["eval_loss"], 3, 4.5);
        Assert.True(File.Exists(Path.Combine(_run.Checkpoint(30), "adapter_model.safetensors")));
        Assert.False(File.Exists(Path.Combine(_run.Checkpoint(30), "model.safetensors")));
    }

    /// <summary>Drawn weights know nothing: the generator's loss begins at ln 8,192 = 9.01, the discriminator's at ln 2.</summary>
    [Fact]
    public async Task Electra_from_scratch_exports_the_discriminator_and_keeps_the_generator_beside_it()
    {
        await Train("electra-from-scratch", 6);

        Assert.Equal("ElectraForPreTraining", Architecture(6));
        var first = Events.OfType<StepLogged>().First(logged => logged.Step == 1).Metrics;
        Assert.Equal(9.01, first["mlm_loss"], 0.1);
        Assert.Equal(0.69, first["rtd_loss"], 0.05);
        Assert.Equal(first["mlm_loss"] + 50 * first["rtd_loss"], first["loss"], 3);
        Assert.True(Evaluations[^1].Metrics["eval_rtd_loss"] < first["rtd_loss"]);
        var (_, discriminator, _) = await Finetune.Run("inspect", Path.Combine(_run.Checkpoint(6), "model.safetensors"));
        Assert.Contains("discriminator_predictions.dense_prediction.weight", discriminator, StringComparison.Ordinal);
        Assert.DoesNotContain("generator", discriminator, StringComparison.Ordinal);
        var (_, generator, _) = await Finetune.Run("inspect", Path.Combine(_run.Checkpoint(6), "generator.safetensors"));
        Assert.Contains("generator.generator_lm_head.bias", generator, StringComparison.Ordinal);
        await Finetune.AssertScored(_run.Checkpoint(6), Path.Combine(_run.Path, "dev.tsv"), Evaluations[^1]);

        // Gone on with from the step before the last, it ends with the same bytes: both models and what was hidden and filled in.
        var whole = File.ReadAllBytes(Path.Combine(_run.Checkpoint(6), "generator.safetensors"));
        Directory.Delete(_run.Checkpoints, recursive: true);
        await Train("electra-from-scratch", 6, saveSteps: 4);
        Directory.Delete(_run.Checkpoint(6), recursive: true);
        await Train("electra-from-scratch", 6, saveSteps: 4);
        Assert.Equal(4, Events.OfType<RunStarted>().Last().Step);
        Assert.Equal(whole, File.ReadAllBytes(Path.Combine(_run.Checkpoint(6), "generator.safetensors")));
    }

    [Theory]
    [InlineData("masked-lm")]
    [InlineData("token-classification")]
    public async Task Data_of_another_task_is_refused_before_a_step(string task)
    {
        File.WriteAllText(Path.Combine(_run.Path, "rows.csv"), "tokens,ner_tags\nAda sings,O\n");
        File.WriteAllText(_run.Job, JsonSerializer.Serialize(new { BaseModel = Path.Combine(Finetune.Samples, "models", "tiny-bert-en"), Task = task, Dataset = new { Train = "rows.csv" } }, SnakeCaseJson.Options));

        var (exitCode, _, error) = await Finetune.Run("train", _run.Path);

        Assert.Equal(TrainerExit.Faulted, exitCode);
        Assert.Contains(task == "masked-lm" ? "/dataset/text_column" : "rows.csv:2", error, StringComparison.Ordinal);
    }

    private TrainingEvent[] Events => [.. File.ReadLines(_run.Events).Select(line => JsonSerializer.Deserialize<TrainingEvent>(line, SnakeCaseJson.Options)!)];

    private Evaluated[] Evaluations => [.. Events.OfType<Evaluated>()];

    private async Task Train(string job, int steps, int saveSteps = 0)
    {
        var spec = JsonNode.Parse(Placeholder().Replace(File.ReadAllText(Path.Combine(Finetune.Samples, "jobs", job + ".json")), match => Cut(match.Groups[1].Value)))!;
        spec["base_model"] = Path.Combine(Finetune.Samples, "models", spec["base_model"]!.GetValue<string>());
        spec["training"]!["max_steps"] = steps;
        spec["training"]!["logging_steps"] = 1;
        if (saveSteps > 0)
            (spec["training"]!["save_strategy"], spec["training"]!["save_steps"], spec["training"]!["save_total_limit"], spec["training"]!["eval_strategy"]) = ("steps", saveSteps, 9, "no");
        File.WriteAllText(_run.Job, spec.ToJsonString());
        var (exitCode, _, error) = await Finetune.Run("train", _run.Path);
        Assert.True(exitCode == TrainerExit.Succeeded, error);
    }

    /// <summary>The first rows of a sample file, in the run's folder.</summary>
    private string Cut(string sample)
    {
        var copy = Path.Combine(_run.Path, Path.GetFileName(sample));
        File.WriteAllLines(copy, File.ReadLines(Path.Combine(Finetune.Samples, sample)).Take(sample.Contains("train", StringComparison.Ordinal) ? 1000 : 64));
        return copy;
    }

    private string Architecture(int step) => JsonNode.Parse(File.ReadAllText(Path.Combine(_run.Checkpoint(step), "config.json")))!["architectures"]![0]!.GetValue<string>();

    [GeneratedRegex(@"\$\{([^}]+)\}")]
    private static partial Regex Placeholder();
}
