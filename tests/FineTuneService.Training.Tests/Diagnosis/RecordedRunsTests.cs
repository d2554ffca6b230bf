using System.Globalization;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Tests.Diagnosis;

/// <summary>Real runs of the sample models on the sample data, made good or bad on purpose: see Fixtures/diagnosis/README.md.</summary>
public sealed class RecordedRunsTests(ITestOutputHelper output)
{
    private static readonly IReadOnlyList<(RecordedRun Run, IReadOnlyList<Finding> Found)> Runs =
    [
        .. File.ReadLines(Path.Combine(AppContext.BaseDirectory, "Fixtures", "diagnosis", "runs.jsonl")).Select(line => new RecordedRun(JsonNode.Parse(line)!.AsObject())).Where(run => run.IsOfNumbers).Select(run => (run, run.Findings)),
    ];

    public static TheoryData<string> Codes => [.. Runs.SelectMany(run => run.Run.Expected).Distinct()];

    [Theory]
    [MemberData(nameof(Codes))]
    public void A_finding_is_told_of_the_runs_that_have_it_and_of_no_others(string code)
    {
        var (precision, recall, wrong) = DiagnosisQuality.Of(code, Runs.Select(run => (run.Run, (IReadOnlyCollection<string>)[.. run.Found.Select(finding => finding.Code)])));

        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{code}: precision {precision:F2}, recall {recall:F2}; {wrong}"));
        Assert.InRange(precision, DiagnosisQuality.Bar, 1);
        Assert.InRange(recall, DiagnosisQuality.Bar, 1);
    }

    [Fact]
    public void Nothing_grave_is_told_of_a_healthy_run() =>
        Assert.Empty(Runs.Where(run => run.Run.Expected.Count == 0).SelectMany(run => run.Found.Where(finding => finding.Severity == FindingSeverity.High).Select(finding => (run.Run.Name, finding.Code))));

    /// <summary>Whoever follows the advice at once loses no more of the lowest validation loss than three times what it says.</summary>
    [Fact]
    public void To_stop_now_costs_as_little_as_is_told()
    {
        var advised = Runs.Select(run => run.Run.Evaluations().FirstOrDefault(at => at.Findings.Any(finding => finding.Code == "stop_now"))).Where(at => at.Findings is not null).ToList();
        var right = advised.Count(at => at.Lowest >= 0.97 * at.LowestSoFar);

        output.WriteLine($"stop_now: right {right} times of {advised.Count}");
        Assert.True(advised.Count >= 5 && right >= DiagnosisQuality.Bar * advised.Count);
    }
}
