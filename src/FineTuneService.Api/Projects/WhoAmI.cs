using FineTuneService.Api.Access;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Projects;

/// <param name="Caller">The key's id, or the token's subject.</param>
/// <param name="Project">In which this request acts.</param>
/// <param name="Scopes">What it may do.</param>
public sealed record WhoAmIAnswer(string Caller, ProjectView? Project, IReadOnlyList<string> Scopes, ProjectUsage Usage);

public static class WhoAmI
{
    /// <summary>Tells who you are to the service, what you may do, and what your project has taken of its limits.</summary>
    public static async Task<Ok<WhoAmIAnswer>> Handle(HttpContext context, FineTuneDb db, TimeProvider clock, CancellationToken cancel)
    {
        var project = await db.Projects.AsNoTracking().FirstOrDefaultAsync(project => project.Id == db.Project, cancel);
        return TypedResults.Ok(new WhoAmIAnswer(context.User.CallerName(), project is null ? null : ProjectView.From(project), [.. context.User.Scopes()], await ProjectUsage.Of(db, db.Project!, clock.GetUtcNow(), cancel)));
    }
}
