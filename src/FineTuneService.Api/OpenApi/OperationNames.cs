using System.Reflection;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Mvc.ApiExplorer;

namespace FineTuneService.Api.OpenApi;

/// <summary>
/// What generated clients call an operation: <c>createJob</c> is <c>CreateJob.Handle</c>, <c>listJobs</c> and <c>getJob</c> are methods of <c>ReadJobs</c>.
/// A route that is misnamed so says <c>WithName</c>.
/// </summary>
internal static partial class OperationNames
{
    public static string? Of(ApiDescription route)
    {
        var metadata = route.ActionDescriptor.EndpointMetadata;
        if (metadata.OfType<IEndpointNameMetadata>().LastOrDefault() is { EndpointName: var given })
            return given;
        if (metadata.OfType<MethodInfo>().FirstOrDefault() is not { DeclaringType: { } type } handler)
            return null;
        if (handler.Name == "Handle")
            return JsonNamingPolicy.CamelCase.ConvertName(type.Name);
        var what = Around().Replace(type.Name, "");
        return JsonNamingPolicy.CamelCase.ConvertName(handler.Name + (handler.Name == "List" ? what : what.TrimEnd('s')));
    }

    [GeneratedRegex("^(Read|Edit|Move|Change|Project(?=Keys))|Api$")]
    private static partial Regex Around();
}
