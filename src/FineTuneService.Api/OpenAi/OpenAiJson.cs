using System.Text.Json;
using System.Text.Json.Serialization;
using FineTuneService.Training;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.OpenAi;

/// <summary>OpenAI's objects spell out null, where ours leave a member out: its clients look for the member.</summary>
internal static class OpenAiJson
{
    public static JsonSerializerOptions Options { get; } = new(Catalog.Json) { DefaultIgnoreCondition = JsonIgnoreCondition.Never };

    /// <summary>Always 200: the .NET client takes any other status for a failure.</summary>
    public static JsonHttpResult<T> Answer<T>(T value) => TypedResults.Json(value, Options);
}
