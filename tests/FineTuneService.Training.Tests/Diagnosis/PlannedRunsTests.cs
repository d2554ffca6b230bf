using System.Globalization;
using FineTuneService.Contracts;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Diagnosis;

/// <summary>Trains sixty small models and a few, good and bad on purpose, and judges what is told of them; with the environment variable DIAGNOSIS_RUNS only those whose name begins so. What they logged lies beside the tests, as Fixtures/diagnosis/runs.jsonl has it.</summary>
[Collection(GlobalGenerator.Name)]
[Trait("Suite", "slow")]
[Trait("Suite", "diagnosis")]
public sealed class PlannedRunsTests(ITestOutputHelper output)
{
    [Fact]
    public void Each_finding_is_told_of_the_runs_that_were_made_to_show_it()
    {
        var told = new List<(RecordedRun Run, IReadOnlyCollection<string> Told)>();
        var grave = new List<string>();
        using var record = File.CreateText(Path.Combine(AppContext.BaseDirectory, "runs.jsonl"));
        var only = Environment.GetEnvironmentVariable("DIAGNOSIS_RUNS") ?? "";
        foreach (var planned in PlannedRun.All.Where(run => run.Name.StartsWith(only, StringComparison.Ordinal)))
        {
            var (run, findings) = Train(planned);
            record.WriteLine(run);
            record.Flush();
            told.Add((run, [.. findings.Select(finding => finding.Code)]));
            if (planned.Expected.Length == 0)
                grave.AddRange(findings.Where(finding => finding.Severity == FindingSeverity.High).Select(finding => $"{planned.Name}: {finding.Code}"));
        }

        var quality = told.SelectMany(run => run.Run.Expected).Distinct().Select(code => (Code: code, Of: DiagnosisQuality.Of(code, told))).ToList();
        foreach (var (code, of) in quality)
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{code,-24} precision {of.Precision:F2}, recall {of.Recall:F2}; {of.Wrong}"));
        Assert.True(told.Count >= 60 || only.Length > 0);
        Assert.Empty(grave);
        Assert.All(quality, code => Assert.True(code.Of.Precision >= DiagnosisQuality.Bar && code.Of.Recall >= DiagnosisQuality.Bar, $"{code.Code}: {code.Of}"));
    }

    private static (RecordedRun Run, IReadOnlyList<Finding> Findings) Train(PlannedRun planned)
    {
        var folder = planned.Make();
        try
        {
            var events = new List<TrainingEvent>();
            using (var run = TrainingRun.Prepare(folder, CPU, events.Add, TimeProvider.System))
                try
                {
                    run.Trainer.Train(CancellationToken.None);
                }
                catch (FaultException) when (planned.Expected.Contains("divergence"))
                {
                    // It was to fail.
                }
            return (planned.Record(events, folder), [.. events.OfType<Diagnosed>().GroupBy(found => found.Finding.Code).Select(found => found.Last().Finding)]);
        }
        finally
        {
            Directory.Delete(folder.Path, recursive: true);
        }
    }
}
