using FineTuneService.Api.Checkpoints;
using FineTuneService.Api.Jobs;
using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Reports;

/// <param name="Step">The checkpoint's step.</param>
/// <param name="Dataset">The id of the dataset that the validation rows are from, whose lines are meant.</param>
public sealed record ReportAnswer(int Step, string Dataset, ClassificationReport Report);

public static class ReadReport
{
    /// <summary>Tells how a text classifier does on its validation rows: calibration before and after its temperature, every class, what is taken for what, what abstaining brings, and its surest mistakes with their texts.</summary>
    /// <remarks>There is one for every checkpoint that was evaluated when it was saved, and for the last one.</remarks>
    /// <param name="id">The job's id.</param>
    /// <param name="checkpoint">A step, <c>best</c> or <c>final</c>. Unless given: the best one, else the newest.</param>
    public static async Task<Ok<ReportAnswer>> Handle(string id, FineTuneDb db, CheckpointFiles files, ReportFiles reports, CancellationToken cancel, string? checkpoint = null)
    {
        var job = await db.FindJob(id, cancel);
        var folder = await CheckpointFolder.Find(db, files, id, checkpoint, cancel);
        var report = await ReportFiles.Report(folder, cancel) ?? throw ProblemException.NotFound("classification report of checkpoint", $"{folder.Checkpoint.Step}");
        var texts = await reports.Texts(job, report.ConfidentMistakes.Select(mistake => mistake.Line), cancel);
        return TypedResults.Ok(new ReportAnswer(folder.Checkpoint.Step, ReportFiles.IdOf(job), report with
        {
            ConfidentMistakes = [.. report.ConfidentMistakes.Select(mistake => mistake.Line is { } line && texts.TryGetValue(line, out var row) ? mistake with { Text = row.Text, TextPair = row.Pair } : mistake)],
        }));
    }
}
