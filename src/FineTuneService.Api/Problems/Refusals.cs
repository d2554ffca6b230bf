namespace FineTuneService.Api.Problems;

public static class Refusals
{
    /// <summary>Tells the OpenAPI document with which statuses a route may answer a <see cref="Problem"/>.</summary>
    public static RouteHandlerBuilder Refuses(this RouteHandlerBuilder route, params int[] statuses)
    {
        foreach (var status in statuses)
            route.Produces<Problem>(status, "application/problem+json");
        return route;
    }
}
