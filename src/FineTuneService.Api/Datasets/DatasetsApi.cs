using FineTuneService.Api.Problems;

namespace FineTuneService.Api.Datasets;

public static class DatasetsApi
{
    public static IServiceCollection AddDatasets(this IServiceCollection services)
    {
        services.AddOptions<DatasetSettings>().BindConfiguration("Datasets").ValidateDataAnnotations().ValidateOnStart();
        return services;
    }

    public static void MapDatasets(this IEndpointRouteBuilder routes)
    {
        var datasets = routes.MapGroup("/datasets").WithTags("Datasets");
        datasets.MapPost("/", UploadDataset.Handle).WithMetadata(OpenApi.FileUpload.Instance)
            .Refuses(StatusCodes.Status413PayloadTooLarge, StatusCodes.Status415UnsupportedMediaType, StatusCodes.Status422UnprocessableEntity, StatusCodes.Status507InsufficientStorage);
        datasets.MapGet("/", ReadDatasets.List).Refuses(StatusCodes.Status422UnprocessableEntity);
        datasets.MapGet("/{id}", ReadDatasets.Get).Refuses(StatusCodes.Status404NotFound);
        datasets.MapGet("/{id}/content", DownloadDataset.Handle).Produces(StatusCodes.Status200OK, contentType: "application/octet-stream").Refuses(StatusCodes.Status404NotFound);
        datasets.MapDelete("/{id}", DeleteDataset.Handle).Refuses(StatusCodes.Status404NotFound, StatusCodes.Status409Conflict);
    }
}
