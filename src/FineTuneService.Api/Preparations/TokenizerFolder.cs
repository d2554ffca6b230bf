using FineTuneService.Api.BaseModels;
using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Hub;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;

namespace FineTuneService.Api.Preparations;

/// <summary>Finds the tokenizer of a base model: in the models directory, in the bucket, on the hub.</summary>
public sealed class TokenizerFolder(StorageSettings storage, BaseModelFiles models, ModelHub hub)
{
    /// <returns>A folder with the tokenizer's files.</returns>
    /// <exception cref="FaultException">When there is no such model.</exception>
    /// <exception cref="ProblemException">503 when the hub cannot be asked.</exception>
    public async Task<string> Find(string name, string? revision, CancellationToken cancel)
    {
        if (await BaseModelFolder.Find(storage, models, name, cancel) is { } here)
            return here.Path;
        if (!HubModel.IsId(name))
            throw new FaultException("/base_model", name, "There is no such base model.", "Choose one of GET /base-models, or give an id of the hub: organisation/name.");
        try
        {
            return (await hub.Fetch(HubModel.Parse(name, revision), new(), cancel, withWeights: false)).Path;
        }
        catch (HubUnreachableException error)
        {
            throw new ProblemException(StatusCodes.Status503ServiceUnavailable, $"The hub cannot be asked for '{name}'. {error.Message} Try again later, or choose one of GET /base-models.");
        }
    }
}
