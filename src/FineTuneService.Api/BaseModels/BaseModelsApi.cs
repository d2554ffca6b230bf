using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.BaseModels;

public sealed record BaseModelList(IReadOnlyList<BaseModelView> Data);

public static class BaseModelsApi
{
    public static void MapBaseModels(this IEndpointRouteBuilder routes) => routes.MapGet("/base-models", List).WithTags("Base models");

    /// <summary>Lists the models that a job can start from; of those that cannot be used, says why.</summary>
    public static Ok<BaseModelList> List(StorageSettings storage) => TypedResults.Ok(new BaseModelList([.. BaseModelFolder.All(storage).Select(folder => folder.View())]));
}
