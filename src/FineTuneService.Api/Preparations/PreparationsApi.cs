using FineTuneService.Api.Access;
using FineTuneService.Api.Problems;

namespace FineTuneService.Api.Preparations;

public static class PreparationsApi
{
    public static IServiceCollection AddPreparations(this IServiceCollection services) =>
        services.AddSingleton<PreparationSignal>().AddSingleton<PreparationClaims>().AddSingleton<TokenizerFolder>().AddSingleton<Prepare>().AddHostedService<RunPreparations>();

    public static void MapPreparations(this IEndpointRouteBuilder routes)
    {
        var dataset = routes.MapGroup("/datasets/{id}").WithTags("Data quality").RequireScopes("datasets");
        dataset.MapPost("/report", PostPreparation.Report).WithName("makeDatasetReport").Accepts<ReportRequest>("application/json").Refuses(StatusCodes.Status404NotFound, StatusCodes.Status422UnprocessableEntity, StatusCodes.Status503ServiceUnavailable);
        dataset.MapGet("/report", ReadPreparations.Report).WithName("readDatasetReport").Refuses(StatusCodes.Status404NotFound);
        dataset.MapPost("/clean", PostPreparation.Clean).WithName("cleanDataset").Accepts<CleaningRequest>("application/json").Refuses(StatusCodes.Status404NotFound, StatusCodes.Status422UnprocessableEntity);
        dataset.MapGet("/ledger", ReadPreparations.Ledger).WithName("downloadDatasetLedger").Produces(StatusCodes.Status200OK, contentType: "application/jsonl").Refuses(StatusCodes.Status404NotFound);
        var preparations = dataset.MapGroup("/preparations");
        preparations.MapGet("/", ReadPreparations.List).Refuses(StatusCodes.Status404NotFound, StatusCodes.Status422UnprocessableEntity);
        preparations.MapGet("/{preparation}", ReadPreparations.Get).Refuses(StatusCodes.Status404NotFound);
        preparations.MapDelete("/{preparation}", ReadPreparations.Delete).Refuses(StatusCodes.Status404NotFound);
    }
}
