using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Diagnosis;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Tests.Diagnosis;

/// <summary>What a run has logged, as a line of Fixtures/diagnosis/runs.jsonl.</summary>
internal sealed class RecordedRun(JsonObject line)
{
    public string Name => (string)line["name"]!;

    /// <summary>What it was made to show.</summary>
    public IReadOnlyList<string> Expected => line["expected"].Deserialize<string[]>()!;

    /// <summary>What it may show beside that.</summary>
    public IReadOnlyList<string> Tolerated => line["tolerated"].Deserialize<string[]>() ?? [];

    /// <summary>Without the findings of which no numbers tell.</summary>
    public bool IsOfNumbers => !Expected.Contains("divergence");

    public IReadOnlyList<Finding> Findings => [.. RunDiagnosis.Of(History(line["log"]!.AsArray().Count, hasEnded: true))];

    /// <summary>Of each evaluation: what would have been told there, and the lowest validation loss until then and in the end.</summary>
    public IEnumerable<(IReadOnlyList<Finding> Findings, double LowestSoFar, double Lowest)> Evaluations()
    {
        var log = line["log"]!.AsArray();
        var losses = log.Index().Where(row => row.Item!["eval_loss"] is not null && (int)row.Item["step"]! > 0).Select(row => (row.Index, Loss: (double)row.Item!["eval_loss"]!)).ToList();
        foreach (var (index, loss) in losses)
            if (index < log.Count - 1)
                yield return ([.. RunDiagnosis.Of(History(index + 1, hasEnded: false))], losses.Where(other => other.Index <= index).Min(other => other.Loss), losses.Min(other => other.Loss));
    }

    public override string ToString() => line.ToJsonString();

    private RunHistory History(int rows, bool hasEnded)
    {
        var training = line["training"]!;
        var spec = new JobSpec
        {
            BaseModel = "",
            Task = (string?)line["task"] == "causal-lm" ? new CausalLmConfig() : new TextClassificationConfig(),
            Dataset = new() { Train = "" },
            Training = new()
            {
                NumTrainEpochs = (double)training["num_train_epochs"]!,
                LearningRate = (double)training["learning_rate"]!,
                MaxLength = (int)training["max_length"]!,
                PerDeviceTrainBatchSize = (int)training["per_device_train_batch_size"]!,
            },
        };
        var truncated = line["truncated"].Deserialize<long[]>() ?? [0, 0];
        var facts = new RunFacts(spec, (int)line["total_steps"]!, (int)line["train_rows"]!, (int)line["validation_rows"]!, ((int)truncated[0], truncated[1]), (long?)line["train_tokens"] ?? 1)
        {
            Repeated = line["repeated"].Deserialize<int[]>() is [var repeated, var contradicted] ? (repeated, contradicted) : default,
            Adaptation = line["adaptation"].Deserialize<RunAdaptation>(SnakeCaseJson.Options) ?? new(),
        };
        var scores = new Scores(new Dictionary<string, double>(), line["confusion_matrix"].Deserialize<int[][]>(), line["labels"].Deserialize<string[]>());
        return new(facts, [.. line["log"]!.AsArray().Take(rows).Select(row => row!.AsObject())], scores, hasEnded);
    }
}

/// <summary>How well findings were told of many runs.</summary>
internal static class DiagnosisQuality
{
    public const double Bar = 0.9;

    /// <summary>Precision and recall of a code; runs that may show it, too, count for neither.</summary>
    /// <param name="told">Codes that were told of each run.</param>
    public static (double Precision, double Recall, string Wrong) Of(string code, IEnumerable<(RecordedRun Run, IReadOnlyCollection<string> Told)> told)
    {
        var judged = told.Where(run => !run.Run.Tolerated.Contains(code)).ToList();
        var (found, there) = (judged.Where(run => run.Told.Contains(code)).ToList(), judged.Where(run => run.Run.Expected.Contains(code)).ToList());
        double right = found.Count(there.Contains);
        return (right / Math.Max(1, found.Count), right / Math.Max(1, there.Count), $"told of {Names(found.Except(there))}; not told of {Names(there.Except(found))}");

        static string Names(IEnumerable<(RecordedRun Run, IReadOnlyCollection<string> Told)> runs) => string.Join(", ", runs.Select(run => run.Run.Name).DefaultIfEmpty("none"));
    }
}
