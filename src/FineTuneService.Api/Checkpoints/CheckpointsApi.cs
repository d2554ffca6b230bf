using FineTuneService.Api.Access;
using FineTuneService.Api.Problems;

namespace FineTuneService.Api.Checkpoints;

public static class CheckpointsApi
{
    public static void MapCheckpoints(this IEndpointRouteBuilder routes)
    {
        var checkpoints = routes.MapGroup("/jobs/{id}/checkpoints").WithTags("Checkpoints").RequireScope(Scope.ModelsRead);
        checkpoints.MapGet("/", ReadCheckpoints.List).Refuses(StatusCodes.Status404NotFound);
        checkpoints.MapGet("/{which}/files", ReadCheckpoints.Files).WithName("listCheckpointFiles").Refuses(StatusCodes.Status404NotFound);
        checkpoints.MapGet("/{which}/files/{**path}", DownloadFile.Handle)
            .Produces(StatusCodes.Status200OK, contentType: "application/octet-stream")
            .Produces(StatusCodes.Status206PartialContent, contentType: "application/octet-stream")
            .Produces(StatusCodes.Status304NotModified)
            .Refuses(StatusCodes.Status404NotFound, StatusCodes.Status416RangeNotSatisfiable);
        checkpoints.MapGet("/{which}/archive", DownloadArchive.Handle)
            .Produces(StatusCodes.Status200OK, contentType: "application/x-tar")
            .Refuses(StatusCodes.Status404NotFound, StatusCodes.Status422UnprocessableEntity, StatusCodes.Status503ServiceUnavailable);
    }
}
