using FineTuneService.Api.Access;
using FineTuneService.Api.Problems;

namespace FineTuneService.Api.Projects;

public static class ProjectsApi
{
    public static void MapProjects(this IEndpointRouteBuilder routes)
    {
        var projects = routes.MapGroup("/projects").WithTags("Projects").RequireScope(Scope.Admin);
        projects.MapPost("/", EditProjects.Create).Accepts<ProjectDraft>("application/json").Refuses(StatusCodes.Status422UnprocessableEntity);
        projects.MapGet("/", EditProjects.List);
        projects.MapGet("/{id}", EditProjects.Get).Refuses(StatusCodes.Status404NotFound);
        projects.MapPatch("/{id}", EditProjects.Change).Accepts<ProjectChange>("application/json").Refuses(StatusCodes.Status404NotFound, StatusCodes.Status422UnprocessableEntity);
        projects.MapGet("/{id}/usage", ReadUsage.Handle).Refuses(StatusCodes.Status404NotFound);
        projects.MapPost("/{id}/keys", ProjectKeys.Create).Accepts<KeyDraft>("application/json").Refuses(StatusCodes.Status404NotFound, StatusCodes.Status422UnprocessableEntity);
        projects.MapGet("/{id}/keys", ProjectKeys.List).Refuses(StatusCodes.Status404NotFound);
        projects.MapDelete("/{id}/keys/{key}", ProjectKeys.Revoke).Refuses(StatusCodes.Status404NotFound);
        routes.MapGet("/audit", ReadAudit.Handle).WithTags("Projects").RequireScope(Scope.Admin).Refuses(StatusCodes.Status422UnprocessableEntity);
        routes.MapGet("/me", WhoAmI.Handle).WithTags("Projects").RequireScope(Scope.Anyone);
    }
}
