using FineTuneService.Api.Access;
using FineTuneService.Api.Jobs;
using FineTuneService.Api.Problems;
using FineTuneService.Contracts;

namespace FineTuneService.Api.Generations;

public static class GenerationsApi
{
    public static void MapGenerations(this IEndpointRouteBuilder routes) => routes.MapPost("/jobs/{id}/generate", Generate.Handle).WithTags("Generations").RequireScope(Scope.ModelsRead)
        .Accepts<GenerateRequest>("application/json")
        .Produces<GenerateAnswer>(StatusCodes.Status200OK, "application/json", EventStream.MediaType)
        .Refuses(StatusCodes.Status404NotFound, StatusCodes.Status415UnsupportedMediaType, StatusCodes.Status422UnprocessableEntity, StatusCodes.Status503ServiceUnavailable);
}
