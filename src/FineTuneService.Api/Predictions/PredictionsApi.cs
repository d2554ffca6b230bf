using FineTuneService.Api.Access;
using FineTuneService.Api.Problems;

namespace FineTuneService.Api.Predictions;

public static class PredictionsApi
{
    public static void MapPredictions(this IEndpointRouteBuilder routes) => routes.MapPost("/jobs/{id}/predict", Predict.Handle).WithTags("Predictions").RequireScope(Scope.ModelsRead)
        .Accepts<PredictBody>("application/json")
        .Refuses(StatusCodes.Status404NotFound, StatusCodes.Status415UnsupportedMediaType, StatusCodes.Status422UnprocessableEntity, StatusCodes.Status503ServiceUnavailable);
}
