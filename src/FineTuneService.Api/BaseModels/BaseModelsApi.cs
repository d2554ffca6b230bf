using FineTuneService.Api.Access;
using FineTuneService.Api.Problems;
using FineTuneService.Hub;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.BaseModels;

public sealed record BaseModelList(IReadOnlyList<BaseModelView> Data);

public static class BaseModelsApi
{
    private static readonly OpenApi.FileUpload Form = new(
        "A Hugging Face folder; the name ends in .tar, .tar.gz, .tgz or .zip.",
        "What jobs give as base_model: name or organisation/name. Default: the file's name without its ending.",
        "my-bert");

    public static IServiceCollection AddBaseModels(this IServiceCollection services, IConfiguration configuration, string root)
    {
        services.AddOptions<BaseModelSettings>().BindConfiguration("BaseModels").ValidateDataAnnotations().ValidateOnStart();
        return services
            .AddSingleton(provider => HubSettings.From(configuration, root, provider.GetRequiredService<StorageSettings>().DataDirectory))
            .AddSingleton<ModelHub>()
            .AddScoped<FindBaseModel>();
    }

    public static void MapBaseModels(this IEndpointRouteBuilder routes)
    {
        var models = routes.MapGroup("/base-models").WithTags("Base models");
        models.MapGet("/", List).RequireScope(Scope.ModelsRead);
        models.MapPost("/", ImportBaseModel.Handle).RequireScope(Scope.Admin).WithMetadata(Form)
            .Refuses(
                StatusCodes.Status409Conflict, StatusCodes.Status413PayloadTooLarge, StatusCodes.Status415UnsupportedMediaType, StatusCodes.Status422UnprocessableEntity,
                StatusCodes.Status503ServiceUnavailable, StatusCodes.Status507InsufficientStorage);
    }

    /// <summary>Lists the models that are here: folders, and what was fetched from the hub before; of those that cannot be used, says why.</summary>
    /// <remarks>A job can start from any other model of the hub, too, and from a checkpoint of an earlier job.</remarks>
    public static Ok<BaseModelList> List(StorageSettings storage, ModelHub hub) => TypedResults.Ok(new BaseModelList(
    [
        .. BaseModelFolder.All(storage).Select(folder => folder.View()),
        .. hub.Cached().Select(snapshot => new BaseModelFolder(snapshot.Id, snapshot.Path).View() with { Revision = snapshot.Commit }),
    ]));
}
