using System.Globalization;
using FineTuneService.Api.Problems;
using FineTuneService.Contracts;

namespace FineTuneService.Api.OpenAi;

public sealed record OpenAiErrorAnswer(OpenAiError Error);

/// <summary>A refusal as OpenAI's clients read it; without this shape they lose its cause.</summary>
/// <param name="Message">What is wrong, and what to do about it.</param>
/// <param name="Type">A class of errors, such as <c>invalid_request_error</c>.</param>
/// <param name="Param">The field of the request, where one is to blame.</param>
/// <param name="Code">A short stable name, where there is one.</param>
public sealed record OpenAiError(string Message, string Type, string? Param, string? Code)
{
    /// <summary>What the fields of a job specification, and of the model's process, are called here. The first that fits counts.</summary>
    private static readonly (string Pointer, string Param)[] Fields =
    [
        ("/dataset/validation", "validation_file"), ("/dataset", "training_file"), ("/base_model", "model"), ("/revision", "model"), ("/init", "model"), ("?checkpoint", "model"),
        ("/training/num_train_epochs", "hyperparameters.n_epochs"), ("/training/per_device_train_batch_size", "hyperparameters.batch_size"),
        ("/training/learning_rate", "hyperparameters.learning_rate_multiplier"), ("/training/max_length", "model"), ("/training", "hyperparameters"),
        ("/task/beta", "hyperparameters.beta"), ("/task", "method"), ("/prompts", "prompt"),
    ];

    /// <summary>Whether the request is one of OpenAI's.</summary>
    public static bool IsFor(HttpContext context) => context.Request.Path.StartsWithSegments("/v1");

    public static OpenAiError Of(Problem problem) => problem.Status switch
    {
        _ when problem.Faults is { Count: > 0 } faults => new(Tell(faults), "invalid_request_error", ParamOf(faults[0].Pointer), null),
        StatusCodes.Status401Unauthorized => new(MessageOf(problem), "authentication_error", null, "invalid_api_key"),
        StatusCodes.Status403Forbidden => new(MessageOf(problem), "permission_error", null, "insufficient_permissions"),
        StatusCodes.Status429TooManyRequests => new(MessageOf(problem), "rate_limit_error", null, "rate_limit_exceeded"),
        >= 500 => new($"{MessageOf(problem)} Trace id: {problem.TraceId}.", "server_error", null, null),
        _ => new(MessageOf(problem), "invalid_request_error", null, problem.Code),
    };

    public static Task Write(HttpContext context, Problem problem)
    {
        // OpenAI knows no 422 for a faulty request.
        (context.Response.StatusCode, context.Response.ContentLength) = (problem.Status == StatusCodes.Status422UnprocessableEntity ? StatusCodes.Status400BadRequest : problem.Status, null);
        return context.Response.WriteAsJsonAsync(new OpenAiErrorAnswer(Of(problem)), OpenAiJson.Options, context.RequestAborted);
    }

    /// <summary>All faults in one text: there is no other place for them.</summary>
    public static string Tell(IReadOnlyList<Fault> faults) => faults is [var only] ? Tell(only) : string.Join(" ", faults.Select(fault => IsInFile(fault.Pointer) ? Tell(fault) : $"{ParamOf(fault.Pointer) ?? "body"}: {Tell(fault)}"));

    /// <summary>JSON pointers as OpenAI writes them: <c>messages[0].content</c>.</summary>
    public static string? ParamOf(string pointer)
    {
        if (Fields.FirstOrDefault(field => pointer == field.Pointer || pointer.StartsWith(field.Pointer + "/", StringComparison.Ordinal)).Param is { } known)
            return known;
        if (pointer.Length == 0)
            return null;
        return pointer[0] switch
        {
            '/' => string.Concat(pointer[1..].Split('/').Select((name, at) => int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out _) ? $"[{name}]" : at == 0 ? name : $".{name}")).Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal),
            '?' => pointer[1..],
            _ => IsInFile(pointer) ? "file" : pointer,
        };
    }

    private static string Tell(Fault fault)
    {
        var text = $"{(fault.Value is null ? "" : $"'{fault.Value}': ")}{fault.Message} {fault.Remedy}";
        return IsInFile(fault.Pointer) ? $"{fault.Pointer}: {text}" : text;
    }

    /// <summary>Such as <c>train.jsonl:3</c>.</summary>
    private static bool IsInFile(string pointer) => pointer.Length > 0 && pointer[0] is not ('/' or '?') && pointer.AsSpan().ContainsAny(".:");

    private static string MessageOf(Problem problem) => problem.Detail ?? $"{problem.Title}.";
}
