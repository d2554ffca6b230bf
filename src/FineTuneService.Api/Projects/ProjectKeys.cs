using FineTuneService.Api.Access;
using FineTuneService.Api.Paging;
using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Projects;

public static class ProjectKeys
{
    /// <summary>Makes a key. It is shown in this answer and never again.</summary>
    /// <param name="id">The project's id.</param>
    public static async Task<Created<KeyView>> Create(string id, HttpRequest request, FineTuneDb db, ApiKeys keys, TimeProvider clock, CancellationToken cancel)
    {
        await db.FindProject(id, cancel);
        var draft = await JsonContract.ReadAsync<KeyDraft>(request.Body, Catalog.Json, cancel);
        var faults = new FaultList();
        foreach (var (index, scope) in draft.Scopes.Index().Where(scope => !Scope.All.Contains(scope.Item)))
            faults.Add($"/scopes/{index}", scope, "There is no such scope.", $"Give some of: {string.Join(", ", Scope.All)}.");
        faults.Require(draft.ExpiresAt is null || draft.ExpiresAt > clock.GetUtcNow(), "/expires_at", draft.ExpiresAt, "This time has passed.", "Give a later one, or leave it out.");
        faults.ThrowIfAny();
        var (key, row) = keys.Create(id, draft.Name, draft.Scopes.Distinct(), draft.ExpiresAt);
        db.ApiKeys.Add(row);
        await db.SaveChangesAsync(cancel);
        return TypedResults.Created($"/projects/{id}/keys/{row.Id}", KeyView.From(row, key));
    }

    /// <summary>Lists a project's keys, revoked ones too, without the keys themselves.</summary>
    /// <param name="id">The project's id.</param>
    public static async Task<Ok<KeyList>> List(string id, FineTuneDb db, CancellationToken cancel)
    {
        await db.FindProject(id, cancel);
        return TypedResults.Ok(new KeyList([.. (await db.ApiKeys.AsNoTracking().Where(key => key.ProjectId == id).OrderBy(key => key.Id).ToListAsync(cancel)).Select(KeyView.From)]));
    }

    /// <summary>Revokes a key: from now on it opens nothing.</summary>
    /// <param name="id">The project's id.</param>
    /// <param name="key">The key's id.</param>
    public static async Task<NoContent> Revoke(string id, string key, FineTuneDb db, ApiKeys keys, TimeProvider clock, CancellationToken cancel)
    {
        var row = await db.ApiKeys.FirstOrDefaultAsync(row => row.Id == key && row.ProjectId == id, cancel) ?? throw ProblemException.NotFound("key", key);
        row.RevokedAt ??= clock.GetMicrosecondsNow();
        await db.SaveChangesAsync(cancel);
        keys.Forget(row);
        return TypedResults.NoContent();
    }
}
