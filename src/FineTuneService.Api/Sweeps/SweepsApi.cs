using FineTuneService.Api.Access;
using FineTuneService.Api.Problems;
using FineTuneService.Contracts;

namespace FineTuneService.Api.Sweeps;

public static class SweepsApi
{
    public static void MapSweeps(this IEndpointRouteBuilder routes)
    {
        var sweeps = routes.MapGroup("/sweeps").WithTags("Sweeps").RequireScopes("jobs");
        sweeps.MapPost("/", CreateSweep.Handle).Accepts<SweepSpec>("application/json").Refuses(StatusCodes.Status415UnsupportedMediaType, StatusCodes.Status422UnprocessableEntity, StatusCodes.Status503ServiceUnavailable);
        sweeps.MapGet("/", ReadSweeps.List).Refuses(StatusCodes.Status422UnprocessableEntity);
        sweeps.MapGet("/{id}", ReadSweeps.Get).Refuses(StatusCodes.Status404NotFound);
        sweeps.MapPost("/{id}/cancel", CancelSweep.Handle).Refuses(StatusCodes.Status404NotFound, StatusCodes.Status409Conflict);
        sweeps.MapDelete("/{id}", DeleteSweep.Handle).Refuses(StatusCodes.Status404NotFound, StatusCodes.Status409Conflict);
    }
}
