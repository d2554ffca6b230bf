using System.Net;
using FineTuneService.Contracts;

namespace FineTuneService.Hub;

/// <summary>What the hub's refusals mean for whoever named the model. The hub says more than the status in <c>X-Error-Code</c>.</summary>
internal static class HubRefusal
{
    private const string DamageRemedy = "Try again later; if it stays so, the repository or the mirror is damaged: choose another revision or another Hub:Endpoint.";

    public static FaultException Of(HttpResponseMessage response, HubModel model, string? file, HubSettings settings)
    {
        var code = response.Headers.TryGetValues("X-Error-Code", out var values) ? values.FirstOrDefault() : null;
        var page = new Uri(settings.Endpoint, model.Id);
        return (response.StatusCode, code) switch
        {
            (_, "GatedRepo") or (HttpStatusCode.Forbidden, _) => new(
                "/base_model", model.Id, "The hub gives this model only to those who have accepted its terms.",
                settings.Token is null ? $"Accept them at {page} and set Hub:Token to a read token of that account." : $"Accept them at {page} with the account of Hub:Token, whose token must be allowed to read it."),
            (_, "RevisionNotFound") => new("/revision", model.Revision, $"The model '{model.Id}' has no such revision on the hub.", $"See its branches and tags at {page}, or leave revision out for main."),
            (HttpStatusCode.NotFound, _) when file is not null => new("/base_model", file, $"The hub lists this file of '{model.Id}' and does not have it.", "Choose another revision."),
            // The hub does not tell a private model from one that does not exist.
            (HttpStatusCode.Unauthorized or HttpStatusCode.NotFound, _) when settings.Token is null => new(
                "/base_model", model.Id, $"There is no such model on {settings.Endpoint.Host}, or it is private.", "Check the spelling; for a private model set Hub:Token to a token that may read it."),
            (HttpStatusCode.Unauthorized or HttpStatusCode.NotFound, _) => new(
                "/base_model", model.Id, $"There is no such model on {settings.Endpoint.Host}, or Hub:Token may not read it.", "Check the spelling, and that the token is valid and may read the model."),
            var (status, _) => new("/base_model", model.Id, $"The hub refuses with status {(int)status}.", $"See whether {page} can be opened, and that Hub:Endpoint is a hub."),
        };
    }

    public static FaultException Offline(HubModel model) => new(
        "/base_model", model.Id, $"The hub may not be asked (Hub:Offline), and its cache does not hold '{model.Id}' at '{model.Revision}' whole.",
        "Choose one of GET /base-models, or fetch it once with Hub:Offline false.");

    /// <summary>What was sent is not what had been announced.</summary>
    public static FaultException Damaged(string file, string what) => new("/base_model", file, what, DamageRemedy);

    public static bool IsDamage(FaultException error) => error.Faults is [{ Remedy: DamageRemedy }];
}
