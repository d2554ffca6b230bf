using FineTuneService.Api.Paging;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Projects;

/// <summary>A write that somebody asked for.</summary>
/// <param name="Caller">The key's id, or the token's subject.</param>
/// <param name="Status">The answer's status: whether it was done, or why not.</param>
/// <param name="TraceId">Find the request in the service's log by it.</param>
public sealed record AuditView(long Id, DateTimeOffset Time, string ProjectId, string Caller, string Method, string Route, string Path, int Status, string? Address, string TraceId)
{
    public static AuditView From(AuditEntry row) => new(row.Id, row.Time, row.ProjectId, row.Caller, row.Method, row.Route, row.Path, row.Status, row.Address, row.TraceId);
}

public static class ReadAudit
{
    /// <summary>Lists the writes that were asked for, done or refused, the newest first.</summary>
    /// <param name="project">Only those in this project.</param>
    /// <param name="limit">Entries on a page, 1 to 1000; 100 unless given.</param>
    /// <param name="after">The <c>next_after</c> of the page before.</param>
    public static async Task<Ok<Page<AuditView, long?>>> Handle(FineTuneDb db, CancellationToken cancel, string? project = null, int? limit = null, long? after = null)
    {
        var size = Page.Limit(limit, usual: 100, most: 1000);
        var rows = await db.Audit.AsNoTracking().Where(entry => (project == null || entry.ProjectId == project) && (after == null || entry.Id < after)).OrderByDescending(entry => entry.Id).Take(size + 1).ToListAsync(cancel);
        return TypedResults.Ok(Page.Of<AuditEntry, AuditView, long?>(rows, size, AuditView.From, entry => entry.Id));
    }
}
