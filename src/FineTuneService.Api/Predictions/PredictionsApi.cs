using FineTuneService.Api.Problems;

namespace FineTuneService.Api.Predictions;

public static class PredictionsApi
{
    public static IServiceCollection AddPredictions(this IServiceCollection services)
    {
        services.AddOptions<PredictorSettings>().BindConfiguration("Predictor").ValidateDataAnnotations().ValidateOnStart();
        return services.AddSingleton<Predictors>().AddHostedService(provider => provider.GetRequiredService<Predictors>());
    }

    public static void MapPredictions(this IEndpointRouteBuilder routes) => routes.MapPost("/jobs/{id}/predict", Predict.Handle).WithTags("Predictions")
        .Accepts<PredictBody>("application/json")
        .Refuses(StatusCodes.Status404NotFound, StatusCodes.Status415UnsupportedMediaType, StatusCodes.Status422UnprocessableEntity, StatusCodes.Status503ServiceUnavailable);
}
