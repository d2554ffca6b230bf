using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Jobs;

/// <param name="Data">The gravest first.</param>
public sealed record FindingList(IReadOnlyList<Finding> Data);

public static class ReadFindings
{
    /// <summary>Reads what a job's numbers have shown so far, such as <c>overfitting</c>, each with the steps that show it and a remedy.</summary>
    /// <param name="id">The job's id.</param>
    public static async Task<Ok<FindingList>> Handle(string id, FineTuneDb db, CancellationToken cancel)
    {
        await db.FindJob(id, cancel);
        return TypedResults.Ok(new FindingList(await Of(db, id, cancel)));
    }

    /// <summary>What an earlier attempt found beyond the step where a later one began is void.</summary>
    internal static async Task<IReadOnlyList<Finding>> Of(FineTuneDb db, string id, CancellationToken cancel)
    {
        var lines = await db.Events.AsNoTracking().Where(happened => happened.JobId == id && (happened.Type == "diagnosis" || happened.Type == "started")).OrderBy(happened => happened.Id).Select(happened => happened.Data).ToListAsync(cancel);
        var findings = new Dictionary<string, Finding>();
        foreach (var happened in lines.Select(line => JsonSerializer.Deserialize<TrainingEvent>(line, SnakeCaseJson.Options)))
            if (happened is RunStarted started)
                foreach (var (code, _) in findings.Where(found => found.Value.ToStep > started.LastValidStep).ToList())
                    findings.Remove(code);
            else if (happened is Diagnosed { Finding: var finding })
                findings[finding.Code] = finding;
        return [.. findings.Values.OrderByDescending(finding => finding.Severity)];
    }
}
