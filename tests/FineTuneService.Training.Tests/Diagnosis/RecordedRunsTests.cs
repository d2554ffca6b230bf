using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Diagnosis;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Tests.Diagnosis;

/// <summary>Real runs of the sample models on the sample data, made good or bad on purpose: see Fixtures/diagnosis/README.md.</summary>
public sealed class RecordedRunsTests
{
    private const double Bar = 0.9;

    private static readonly IReadOnlyList<(string Name, HashSet<string> Expected, List<Finding> Found)> Runs = [.. File.ReadLines(Path.Combine(AppContext.BaseDirectory, "Fixtures", "diagnosis", "runs.jsonl")).Select(Diagnose)];

    public static TheoryData<string> Codes => [.. Runs.SelectMany(run => run.Expected).Distinct()];

    [Theory]
    [MemberData(nameof(Codes))]
    public void A_finding_is_told_of_the_runs_that_have_it_and_of_no_others(string code)
    {
        var told = Runs.Where(run => run.Found.Any(finding => finding.Code == code)).ToList();
        var right = told.Count(run => run.Expected.Contains(code));
        var (precision, recall) = (right / Math.Max(1.0, told.Count), right / (double)Runs.Count(run => run.Expected.Contains(code)));

        Assert.True(precision >= Bar && recall >= Bar, string.Create(CultureInfo.InvariantCulture, $"precision {precision:F2}, recall {recall:F2}; told of {string.Join(", ", told.Select(run => run.Name))}; not told of {string.Join(", ", Runs.Where(run => run.Expected.Contains(code)).Except(told).Select(run => run.Name))}"));
    }

    [Fact]
    public void Nothing_grave_is_told_of_a_healthy_run() =>
        Assert.Empty(Runs.Where(run => run.Expected.Count == 0).SelectMany(run => run.Found.Where(finding => finding.Severity == FindingSeverity.High).Select(finding => (run.Name, finding.Code))));

    private static (string, HashSet<string>, List<Finding>) Diagnose(string line)
    {
        var run = JsonNode.Parse(line)!;
        var training = run["training"]!;
        var spec = new JobSpec
        {
            BaseModel = "",
            Task = new TextClassificationConfig(),
            Dataset = new() { Train = "" },
            Training = new() { NumTrainEpochs = training["num_train_epochs"]!.GetValue<double>(), LearningRate = training["learning_rate"]!.GetValue<double>(), MaxLength = training["max_length"]!.GetValue<int>() },
        };
        var facts = new RunFacts(spec, run["total_steps"]!.GetValue<int>(), run["train_rows"]!.GetValue<int>(), run["validation_rows"]!.GetValue<int>(), (0, 0), 1);
        var scores = new Scores(new Dictionary<string, double>(), run["confusion_matrix"].Deserialize<int[][]>(), run["labels"].Deserialize<string[]>());
        var log = run["log"]!.AsArray().Select(row => row!.AsObject()).ToList();
        return ((string)run["name"]!, [.. run["expected"].Deserialize<string[]>()!], [.. RunDiagnosis.Of(new(facts, log, scores, HasEnded: true))]);
    }
}
