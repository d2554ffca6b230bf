using System.Text.Json;
using FineTuneService.Api.Checkpoints;
using FineTuneService.Api.Jobs;
using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Reports;

/// <param name="Differences">Where the specifications do not all say the same.</param>
/// <param name="Pairs">Every job but the first, against the first.</param>
public sealed record JobComparison(IReadOnlyList<ComparedJob> Jobs, IReadOnlyList<SpecDifference> Differences, IReadOnlyList<JobPair> Pairs);

/// <param name="Step">Of the checkpoint that was judged, the best one, else the newest; absent where there is none.</param>
/// <param name="Rows">Validation rows whose predictions it keeps; absent where it keeps none.</param>
public sealed record ComparedJob(string Id, string? Name, JobStatus Status, int? Step, int? Rows);

/// <param name="Pointer">JSON pointer into the specification.</param>
/// <param name="Values">Of each job; null where it says nothing there.</param>
public sealed record SpecDifference(string Pointer, IReadOnlyList<JsonElement?> Values);

public static class CompareJobs
{
    private const int Most = 10;

    /// <summary>Compares jobs: where their specifications differ, and for text classifiers that were evaluated on the same validation rows, whether one is better than the first, or whether that may be chance.</summary>
    /// <param name="ids">The jobs' ids, 2 to 10, separated by commas; the first is what the others are compared with.</param>
    public static async Task<Ok<JobComparison>> Handle(FineTuneDb db, CheckpointFiles files, ReportFiles reports, CancellationToken cancel, string? ids = null)
    {
        string[] asked = [.. (ids ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Distinct()];
        if (asked.Length is < 2 or > Most)
            throw new FaultException("?ids", ids, "These are not enough jobs to compare, or too many.", $"Give 2 to {Most} different ids, separated by commas.");
        var judged = new List<JudgedJob>();
        foreach (var id in asked)
            judged.Add(await JudgedJob.Of(await db.FindJob(id, cancel), db, files, reports, cancel));
        var pairs = new List<JobPair>();
        foreach (var other in judged.Skip(1))
            pairs.Add(await JobPair.Of(judged[0], other, reports, cancel));
        return TypedResults.Ok(new JobComparison([.. judged.Select(one => one.View)], Differences([.. judged.Select(one => one.Job)]), JobPair.Adjusted(pairs)));
    }

    private static List<SpecDifference> Differences(IReadOnlyList<Job> jobs)
    {
        var specs = jobs.Select(job => Leaves("", JsonSerializer.Deserialize<JsonElement>(job.Spec)).ToDictionary()).ToList();
        return
        [
            .. specs.SelectMany(spec => spec.Keys).Distinct().Where(pointer => pointer != "/name")
                .Select(pointer => new SpecDifference(pointer, [.. specs.Select(spec => spec.TryGetValue(pointer, out var value) ? value : (JsonElement?)null)]))
                .Where(difference => difference.Values.Select(value => value?.GetRawText()).Distinct().Count() > 1),
        ];
    }

    /// <summary>What has no members, by its pointer; null says nothing.</summary>
    private static IEnumerable<KeyValuePair<string, JsonElement>> Leaves(string pointer, JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => value.EnumerateObject().SelectMany(member => Leaves($"{pointer}/{member.Name.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal)}", member.Value)),
        JsonValueKind.Null => [],
        _ => [KeyValuePair.Create(pointer, value)],
    };
}

/// <summary>A job with what its checkpoint says of the validation rows.</summary>
/// <param name="Labels">Class names by their number.</param>
/// <param name="Rows">By line; null where the checkpoint keeps none.</param>
public sealed record JudgedJob(Job Job, int? Step, string? Sha256, IReadOnlyList<string> Labels, IReadOnlyDictionary<long, ValidationPrediction>? Rows)
{
    public ComparedJob View => new(Job.Id, Job.Name, Job.Status, Step, Rows?.Count);

    public static async Task<JudgedJob> Of(Job job, FineTuneDb db, CheckpointFiles files, ReportFiles reports, CancellationToken cancel)
    {
        CheckpointFolder folder;
        try
        {
            folder = await CheckpointFolder.Find(db, files, job.Id, null, cancel);
        }
        catch (ProblemException none) when (none.Status == StatusCodes.Status404NotFound)
        {
            return new(job, null, null, [], null);
        }
        if (await ReportFiles.Report(folder, cancel) is not { } report)
            return new(job, folder.Checkpoint.Step, null, [], null);
        var rows = (await ReportFiles.Predictions(folder, cancel)).Where(row => row.Line is not null).ToDictionary(row => row.Line!.Value);
        return new(job, folder.Checkpoint.Step, (await reports.DatasetOf(job, cancel))?.Sha256, [.. report.Classes.Select(quality => quality.Label)], rows);
    }
}
