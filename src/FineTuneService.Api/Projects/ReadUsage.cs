using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Projects;

public static class ReadUsage
{
    /// <summary>Tells what a project has taken of its limits.</summary>
    /// <param name="id">The project's id.</param>
    public static async Task<Ok<ProjectUsage>> Handle(string id, FineTuneDb db, TimeProvider clock, CancellationToken cancel)
    {
        await db.FindProject(id, cancel);
        return TypedResults.Ok(await ProjectUsage.Of(db, id, clock.GetUtcNow(), cancel));
    }
}
