using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Jobs;

/// <summary>The body of <c>POST /jobs/{id}/retry-with-fix</c>.</summary>
public sealed record FixRequest
{
    /// <summary>Of findings whose remedies to apply; those later in the list have the last word.</summary>
    [Length(1, 32)]
    public required IReadOnlyList<string> Codes { get; init; }
}

public static class RetryWithFix
{
    /// <summary>Posts a job's specification again with the remedies of its findings (see <c>GET /jobs/{id}/findings</c>), as a new job.</summary>
    /// <param name="id">The job's id.</param>
    public static async Task<Created<JobView>> Handle(string id, HttpContext context, FineTuneDb db, ResolveJob resolve, PostJob post, CancellationToken cancel)
    {
        var job = await db.FindJob(id, cancel);
        var fix = await JsonContract.ReadAsync<FixRequest>(context.Request.Body, Catalog.Json, cancel);
        var findings = (await ReadFindings.Of(db, id, cancel)).Where(finding => finding.Patch is not null).ToDictionary(finding => finding.Code);
        var faults = new FaultList();
        foreach (var (index, code) in fix.Codes.Index().Where(code => !findings.ContainsKey(code.Item)))
            faults.Add($"/codes/{index}", code, "This job has no finding of this code with a remedy for its specification.", findings.Count == 0 ? "POST /jobs/{id}/clone takes a change of your own." : $"Those that it has: {string.Join(", ", findings.Keys)}.");
        faults.ThrowIfAny();
        var spec = fix.Codes.Aggregate(CloneJob.SpecOf(job), (spec, code) => CloneJob.Merge(spec, findings[code].Patch));
        return await CreateJob.Post(JsonSerializer.SerializeToElement(spec), context, db, resolve, post, cancel);
    }
}
