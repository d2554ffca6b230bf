using FineTuneService.Api.Access;
using FineTuneService.Api.Problems;
using FineTuneService.Api.Uploads;

namespace FineTuneService.Api.Datasets;

public static class DatasetsApi
{
    public static IServiceCollection AddDatasets(this IServiceCollection services)
    {
        services.AddOptions<DatasetSettings>().BindConfiguration("Datasets").ValidateDataAnnotations().ValidateOnStart();
        return services.AddScoped<FinishUpload>().AddSingleton<SweepUploads>().AddHostedService(provider => provider.GetRequiredService<SweepUploads>());
    }

    private static readonly OpenApi.FileUpload Form = new(
        "Rows; the name ends in .csv, .tsv, .jsonl or .parquet. samples/sst2 has such files.",
        "A name for people; jobs may call it by its name as well. Default: the file's name.",
        "sst2/train.tsv");

    public static void MapDatasets(this IEndpointRouteBuilder routes)
    {
        var datasets = routes.MapGroup("/datasets").WithTags("Datasets").RequireScopes("datasets");
        datasets.MapPost("/", UploadDataset.Handle).WithMetadata(Form)
            .Refuses(StatusCodes.Status413PayloadTooLarge, StatusCodes.Status415UnsupportedMediaType, StatusCodes.Status422UnprocessableEntity, StatusCodes.Status507InsufficientStorage);
        datasets.MapGet("/", ReadDatasets.List).Refuses(StatusCodes.Status422UnprocessableEntity);
        datasets.MapGet("/{id}", ReadDatasets.Get).Refuses(StatusCodes.Status404NotFound);
        datasets.MapGet("/{id}/content", DownloadDataset.Handle).Produces(StatusCodes.Status200OK, contentType: "application/octet-stream").Refuses(StatusCodes.Status404NotFound);
        var uploads = datasets.MapGroup("/uploads");
        uploads.MapPost("/", BeginDatasetUpload.Handle).Accepts<NewDatasetUpload>("application/json").Refuses(StatusCodes.Status413PayloadTooLarge, StatusCodes.Status422UnprocessableEntity);
        uploads.MapPut("/{id}/parts/{number}", PutDatasetPart.Handle).Accepts<Stream>("application/octet-stream")
            .Refuses(StatusCodes.Status404NotFound, StatusCodes.Status409Conflict, StatusCodes.Status411LengthRequired, StatusCodes.Status413PayloadTooLarge, StatusCodes.Status415UnsupportedMediaType, StatusCodes.Status422UnprocessableEntity, StatusCodes.Status507InsufficientStorage);
        uploads.MapGet("/{id}", ReadDatasetUpload.Handle).Refuses(StatusCodes.Status404NotFound);
        uploads.MapPost("/{id}/complete", CompleteDatasetUpload.Handle).Refuses(StatusCodes.Status404NotFound, StatusCodes.Status409Conflict, StatusCodes.Status413PayloadTooLarge, StatusCodes.Status422UnprocessableEntity, StatusCodes.Status507InsufficientStorage);
        uploads.MapDelete("/{id}", AbandonDatasetUpload.Handle).Refuses(StatusCodes.Status404NotFound, StatusCodes.Status409Conflict);
        datasets.MapDelete("/{id}", DeleteDataset.Handle).Refuses(StatusCodes.Status404NotFound, StatusCodes.Status409Conflict);
    }
}
