using FineTuneService.Api.Paging;
using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Projects;

public sealed record ProjectList(IReadOnlyList<ProjectView> Data);

public static class EditProjects
{
    /// <summary>Makes a project. Give it a key next: <c>POST /projects/{id}/keys</c>.</summary>
    public static async Task<Created<ProjectView>> Create(HttpRequest request, FineTuneDb db, TimeProvider clock, CancellationToken cancel)
    {
        var draft = await JsonContract.ReadAsync<ProjectDraft>(request.Body, Catalog.Json, cancel);
        var row = new Project { Id = Ids.NewProject(), Name = draft.Name, CreatedAt = clock.GetMicrosecondsNow() };
        Put(draft.Limits, row);
        db.Projects.Add(row);
        await db.SaveChangesAsync(cancel);
        return TypedResults.Created($"/projects/{row.Id}", ProjectView.From(row));
    }

    /// <summary>Lists all projects.</summary>
    public static async Task<Ok<ProjectList>> List(FineTuneDb db, CancellationToken cancel) =>
        TypedResults.Ok(new ProjectList([.. (await db.Projects.AsNoTracking().OrderBy(project => project.Id).ToListAsync(cancel)).Select(ProjectView.From)]));

    /// <summary>Shows a project and its limits.</summary>
    /// <param name="id">The project's id.</param>
    public static async Task<Ok<ProjectView>> Get(string id, FineTuneDb db, CancellationToken cancel) => TypedResults.Ok(ProjectView.From(await db.FindProject(id, cancel)));

    /// <summary>Changes a project's name or limits. What it has beyond a new limit stays.</summary>
    /// <param name="id">The project's id.</param>
    public static async Task<Ok<ProjectView>> Change(string id, HttpRequest request, FineTuneDb db, CancellationToken cancel)
    {
        var row = await db.FindProject(id, cancel);
        var change = await JsonContract.ReadAsync<ProjectChange>(request.Body, Catalog.Json, cancel);
        row.Name = change.Name ?? row.Name;
        if (change.Limits is { } limits)
            Put(limits, row);
        await db.SaveChangesAsync(cancel);
        return TypedResults.Ok(ProjectView.From(row));
    }

    private static void Put(ProjectLimits limits, Project row) =>
        (row.MaxStorageBytes, row.MaxQueuedJobs, row.MaxRunningJobs, row.MaxDeviceHours) = (limits.MaxStorageBytes, limits.MaxQueuedJobs, limits.MaxRunningJobs, limits.MaxDeviceHours);

    /// <exception cref="ProblemException">404.</exception>
    public static async Task<Project> FindProject(this FineTuneDb db, string id, CancellationToken cancel) =>
        await db.Projects.FirstOrDefaultAsync(project => project.Id == id, cancel) ?? throw ProblemException.NotFound("project", id);
}
