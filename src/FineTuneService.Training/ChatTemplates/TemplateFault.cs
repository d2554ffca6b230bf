using FineTuneService.Contracts;
using FineTuneService.Training.ChatTemplates.Jinja;

namespace FineTuneService.Training.ChatTemplates;

/// <summary>Puts a template's name, line and column to what went wrong in it.</summary>
internal static class TemplateFault
{
    private const int Excerpt = 60;

    /// <param name="name">Of the template.</param>
    /// <param name="source">With its line ends normalised.</param>
    /// <param name="error">What went wrong.</param>
    /// <param name="reached">Where, unless the error knows better.</param>
    public static FaultException At(string name, string source, TemplateError error, int reached)
    {
        var offset = Math.Clamp(error.Offset ?? reached, 0, source.Length);
        var before = source.AsSpan(0, offset);
        var line = before.Count('\n') + 1;
        var column = offset - before.LastIndexOf('\n');
        var rest = source.AsSpan(offset);
        var end = rest.IndexOf('\n') is >= 0 and var newline ? newline : rest.Length;
        return new(
            $"{name}:{line}:{column}",
            end == 0 ? null : end > Excerpt ? $"{rest[..Excerpt]}..." : rest[..end].ToString(),
            error.Message,
            error.Kind switch
            {
                TemplateErrorKind.Syntax => "Correct the template; it is read as transformers reads it.",
                TemplateErrorKind.Raised => "The template refuses such a conversation: change the conversation, or use a template that takes it.",
                TemplateErrorKind.Limit => "Use a template that does less, or a shorter conversation.",
                _ => "Give the conversation what the template reads here, or correct the template.",
            });
    }
}
